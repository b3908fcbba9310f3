// What can be changed, and small pictures of the data sets.

const TITLES = { moons: "moons", spirals: "spirals", circles: "circles", half_plane_grid: "half-plane", sine: "sine" };

/** Points (x, y, class) in a square of side 2 around 0. */
function example(name) {
  const found = [];
  for (let i = 0; i < 26; i++) {
    const part = i / 25, angle = Math.PI * part;
    if (name === "moons") found.push([Math.cos(angle) * 0.6 - 0.25, Math.sin(angle) * 0.8 - 0.2, 0], [0.25 - Math.cos(angle) * 0.6, 0.2 - Math.sin(angle) * 0.8, 1]);
    else if (name === "circles") found.push([Math.cos(2 * angle) * 0.8, Math.sin(2 * angle) * 0.8, 0], [Math.cos(2 * angle) * 0.35, Math.sin(2 * angle) * 0.35, 1]);
    else if (name === "spirals") for (const k of [0, 1]) found.push([part * 0.9 * Math.cos(3 * angle + k * Math.PI), part * 0.9 * Math.sin(3 * angle + k * Math.PI), k]);
    else if (name === "half_plane_grid") found.push([((i % 5) - 2) * 0.38, (Math.floor(i / 5) - 2) * 0.38, Math.floor(i / 5) >= 2 ? 1 : 0]);
    else found.push([part * 1.7 - 0.85, Math.sin(2 * angle - Math.PI) * 0.7, 1]);
  }
  return found;
}

function drawTiles() {
  for (const tile of $("tiles").children) {
    const { pen, width, height } = surfaceOf(tile.querySelector("canvas"));
    for (const [x, y, k] of example(tile.dataset.name)) {
      pen.fillStyle = css(ofClass(k));
      pen.beginPath();
      pen.arc(width / 2 + (x * width) / 2, height / 2 - (y * height) / 2, width / 26, 0, 7);
      pen.fill();
    }
  }
}

function fill(select, names, value, write = String) {
  const known = value === null || names.includes(value) ? names : [...names, value];
  select.replaceChildren(...known.map((name) => new Option(write(name), JSON.stringify(name))));
  if (value === null) select.prepend(new Option("as in the spec", "null"));
  select.value = JSON.stringify(value);
}

/** Replace what is in a box; the focus stays on the button of the same name, or one beside it if that is disabled. */
function replaceIn(box, ...parts) {
  const called = (button) => button.getAttribute("aria-label") ?? button.textContent;
  const focused = box.contains(document.activeElement) ? called(document.activeElement) : null;
  box.replaceChildren(...parts);
  if (focused === null) return;
  const same = [...box.querySelectorAll("button")].find((button) => called(button) === focused);
  (same?.disabled === false ? same : (same?.parentElement ?? box).querySelector("button:enabled"))?.focus();
}

/** Show the settings of an experiment. */
function showControls(about, change) {
  const { settings, choices } = about;
  replaceIn(
    $("tiles"),
    ...choices.data.map((name) => {
      const tile = document.createElement("button");
      tile.dataset.name = name;
      tile.type = "button";
      tile.setAttribute("aria-pressed", settings.data === name);
      tile.append(document.createElement("canvas"), TITLES[name] ?? name);
      tile.addEventListener("click", () => change("data", name));
      return tile;
    }),
  );
  for (const name of ["rows", "noise"]) {
    $(name).disabled = settings[name] === null;
    $(name).value = settings[name] ?? "";
  }
  $("noise-shown").textContent = settings.noise ?? "";
  fill($("activation"), choices.activation, settings.activation);
  fill($("loss-name"), choices.loss, settings.loss, (name) => name.replace(/_/g, " "));
  fill($("optimizer"), choices.optimizer, settings.optimizer);
  fill($("rate"), choices.rate, settings.rate);
  fill($("batch"), choices.batch, settings.batch);
  $("seed").value = settings.seed;
  for (const label of document.querySelectorAll(".plane")) label.hidden = about.inputs.length < 3;
  [$("across"), $("up")].forEach((select, i) => {
    select.replaceChildren(...about.inputs.map((name, k) => new Option(cut(name, 24), k)));
    select.value = about.surface.axes[i];
  });
  showLayers(settings.layers, choices, change);
  $("spec").textContent = about.spec;
  drawTiles();
}

function showLayers(widths, choices, change) {
  const button = (text, said, widths, allowed) => {
    const made = element("button", text);
    made.type = "button";
    made.disabled = !allowed;
    made.setAttribute("aria-label", said);
    made.addEventListener("click", () => change("layers", widths));
    return made;
  };
  const changed = (i, by) => widths.map((units, k) => (k === i ? units + by : units));
  const lines = widths.map((units, i) => {
    const line = element("div", `layer ${i + 1}`), shown = element("output", units), fewer = button("−", `Fewer units in layer ${i + 1}`, changed(i, -1), units > 1);
    fewer.className = "push";
    line.append(fewer, shown, button("+", `More units in layer ${i + 1}`, changed(i, 1), units < choices.widest));
    return line;
  });
  const last = element("div", widths.length ? "hidden layers" : "no hidden layer"), less = button("−", "Remove the last hidden layer", widths.slice(0, -1), widths.length);
  less.className = "push";
  last.append(less, element("output", widths.length), button("+", "Add a hidden layer", [...widths, 4], widths.length < choices.deepest));
  replaceIn($("layers"), last, ...lines);
}

/** Connect the controls once. */
function connectControls(change, table) {
  for (const [id, name] of [["activation", "activation"], ["loss-name", "loss"], ["optimizer", "optimizer"], ["rate", "rate"], ["batch", "batch"]]) {
    $(id).addEventListener("change", () => $(id).value !== "null" && change(name, JSON.parse($(id).value)));
  }
  for (const name of ["rows", "noise", "seed"]) {
    $(name).addEventListener("change", () => $(name).value !== "" && change(name, Number($(name).value)));
  }
  $("noise").addEventListener("input", () => ($("noise-shown").textContent = $("noise").value));
  $("table").addEventListener("change", async () => {
    const file = $("table").files[0];
    if (file) table(await file.text());
    $("table").value = "";
  });
}

/** In a recording, what needs the library is disabled, and a sentence says why. */
function disableControls() {
  $("controls-data").disabled = $("controls-net").disabled = true;
  for (const option of $("pace").querySelectorAll("option[value='5'], option[value='25']")) option.remove();
  $("pace").querySelector("option[value='1']").textContent = "recorded steps";
  $("why").hidden = false;
  $("why").textContent = "This page is a recording. To change the data, the network or the training, run funcnet play: it computes each step when you ask for it.";
}
