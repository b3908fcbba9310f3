// The network: columns of units with their pictures, links with the weights, and the values of one row.

const SVG = "http://www.w3.org/2000/svg";
let drawn = null; // what was laid out: places of the units, elements of links and units

function make(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

/** The path of the last layer of a column, whose output the next column takes; "" for the inputs. */
const outputOf = (stage) => (stage.layers.length ? stage.layers[stage.layers.length - 1].path : "");

/** The value of a unit, and its cotangent, for a row of the batch; undefined where there is none. */
const valueOf = (frame, stage, unit, row) => {
  const path = outputOf(stage);
  return path ? frame.values[path].at(row, unit) : frame.x.at(row, unit);
};
const cotangentOf = (frame, stage, unit, row) => frame.cotangents[outputOf(stage)]?.at(row, unit);

function nameOf(about, s, unit) {
  const last = about.stages.length - 1;
  if (s === 0) return about.inputs[unit];
  if (s === last && about.classes && about.stages[last].units === about.classes.length) return about.classes[unit];
  return `${about.stages[s].dense}[${unit}]`;
}

const unitAt = (s, k) => drawn.units.find((each) => each.stage === s && each.unit === k);

const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

/** Lay out the network in the width that there is. */
function layOut(about, on) {
  const svg = $("net"), width = $("graph").clientWidth, most = Math.max(...about.stages.map((stage) => stage.units));
  const focused = svg.contains(document.activeElement) ? document.activeElement.closest(".unit")?.dataset : null;
  const narrow = width < 480, room = width / (about.stages.length + 0.45);
  const gap = most > 16 ? 3 : most > 10 ? 8 : 32; // 32: room for a value above and a cotangent below
  const size = Math.max(9, Math.min(narrow ? 30 : 46, room * 0.42, 640 / most - gap));
  const height = Math.max(240, most * (size + gap)) + 44;
  svg.replaceChildren();
  svg.classList.toggle("tight", room < 62);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = $("graph").style.height = `${height}px`;
  const places = about.stages.map((stage, s) => {
    const x = room * (s + 0.12) + (room - size) / 2 - (s === 0 ? room * 0.12 : 0);
    const step = Math.min(size + 42, (height - 44) / stage.units);
    const top = 30 + (height - 44 - step * stage.units) / 2 + (step - size) / 2;
    return Array.from({ length: stage.units }, (_, k) => ({ x, y: top + step * k, size }));
  });
  const touches = make("g", {}, svg), lines = make("g", {}, svg), boxes = make("g", {}, svg);
  const links = [];
  about.stages.forEach((stage, s) => {
    if (!s) return;
    for (let to = 0; to < stage.units; to++) {
      for (let from = 0; from < about.stages[s - 1].units; from++) {
        const a = places[s - 1][from], b = places[s][to];
        const x = a.x + size, y = a.y + size / 2, z = b.y + size / 2, bend = (b.x - x) / 2;
        const d = `M${x} ${y}C${x + bend} ${y} ${b.x - bend} ${z} ${b.x} ${z}`;
        const touch = make("path", { class: "touch", d }, touches);
        touch.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && on.weight(s, from, to));
        touch.addEventListener("click", () => on.weight(s, from, to));
        links.push({ stage: s, from, to, line: make("path", { class: "link", d }, lines) });
      }
    }
  });
  const units = [];
  const letters = Math.max(3, Math.floor(room / 7));
  about.stages.forEach((stage, s) => {
    const last = stage.layers[stage.layers.length - 1], kinds = stage.layers.map((layer) => layer.type);
    const caption = make("text", { x: places[s][0].x + size / 2, y: 12, "text-anchor": "middle" }, svg);
    caption.textContent = cut(s ? (narrow ? last.type : kinds.join(", ")) : "input", letters);
    make("title", {}, caption).textContent = s ? `${stage.dense}: ${kinds.join(", ")}` : "input";
    for (let k = 0; k < stage.units; k++) {
      const place = places[s][k];
      const group = make("g", { class: "unit", role: "button", tabindex: -1, "data-stage": s, "data-unit": k }, boxes);
      make("rect", { class: "box", x: place.x, y: place.y, width: size, height: size, rx: 4 }, group);
      const value = make("text", { class: "value", x: place.x + size / 2, y: place.y - 4, "text-anchor": "middle" }, group);
      const back = make("text", { class: "cotangent", x: place.x + size / 2, y: place.y + size + 11, "text-anchor": "middle" }, group);
      const roomy = size >= 18 && (height - 44) / stage.units >= size + 28;
      let bias = null;
      if (s && stage.bias) {
        const side = Math.max(5, size / 5);
        bias = make("rect", { class: "bias", x: place.x - side / 2, y: place.y + size - side / 2, width: side, height: side, rx: 1.5 }, group);
        bias.addEventListener("click", (event) => (event.stopPropagation(), on.weight(s, -1, k)));
      }
      group.addEventListener("click", () => on.unit(s, k));
      group.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && on.over(s, k));
      group.addEventListener("pointerleave", () => on.over());
      group.addEventListener("blur", () => on.over());
      group.addEventListener("focus", () => group.matches(":focus-visible") && on.over(s, k));
      group.addEventListener("focus", () => units.forEach((unit) => unit.group.setAttribute("tabindex", unit.group === group ? 0 : -1)));
      units.push({ stage: s, unit: k, group, value, back, bias, place, roomy });
    }
  });
  units[0].group.setAttribute("tabindex", 0);
  if (focused) units.find((each) => each.stage === Number(focused.stage) && each.unit === Number(focused.unit))?.group.focus();
  const x = width - Math.max(13, room * 0.16), y = 30 + (height - 44) / 2, goal = make("g", {}, svg);
  const ends = places[places.length - 1].map((place) => make("path", { class: "link", d: `M${place.x + size} ${place.y + size / 2}L${x} ${y}`, stroke: "currentColor", "stroke-opacity": 0.25 }, lines));
  drawn = { links, units, places, ends, size, room, height, halo: make("path", { class: "halo" }, lines) };
  drawn.goal = make("circle", { class: "goal", cx: x, cy: y, r: 11 }, goal);
  make("text", { x, y: y + 4, "text-anchor": "middle" }, goal).textContent = "L";
  svg.onkeydown = (event) => moveBetween(event, about, on);
}

function moveBetween(event, about, on) {
  const unit = event.target.closest(".unit");
  if (!unit) return;
  let s = Number(unit.dataset.stage), k = Number(unit.dataset.unit);
  if (event.key === "ArrowLeft") s -= 1;
  else if (event.key === "ArrowRight") s += 1;
  else if (event.key === "ArrowUp") k -= 1;
  else if (event.key === "ArrowDown") k += 1;
  else if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  s = Math.max(0, Math.min(about.stages.length - 1, s));
  k = Math.max(0, Math.min(about.stages[s].units - 1, k));
  unitAt(s, k).group.focus();
  on.unit(s, k);
}

/** Draw the weights and values of a frame; `seen` says what the step has reached. */
function drawNet(about, frame, row, chosen, seen) {
  const params = seen.updated && frame.after ? frame.after : frame.params;
  const most = about.stages.map((stage) => (stage.dense ? largest(params[join(stage.dense, "weight")].values) : 1));
  const steepest = about.stages.map((stage) => (stage.dense ? largest(frame.grads[join(stage.dense, "weight")].values) : 1));
  for (const link of drawn.links) {
    const weights = params[join(about.stages[link.stage].dense, "weight")], w = weights.at(link.from, link.to);
    const back = seen.gradient(link.stage), path = join(about.stages[link.stage].dense, "weight");
    const part = back ? Math.abs(frame.grads[path].at(link.from, link.to)) / steepest[link.stage] : Math.abs(w) / most[link.stage];
    link.line.setAttribute("stroke", back ? css(palette.cotangent) : ofSign(w));
    link.line.setAttribute("stroke-width", (0.4 + 5.6 * Math.min(1, part)).toFixed(2));
    link.line.setAttribute("stroke-opacity", drawn.links.length > 300 ? 0.55 : 0.85);
    link.line.classList.toggle("gone", !seen.link(link.stage, link.to));
    const is = chosen.kind === "weight" && chosen.stage === link.stage && chosen.from === link.from && chosen.to === link.to;
    if (is) drawn.halo.setAttribute("d", link.line.getAttribute("d"));
  }
  drawn.halo.style.display = chosen.kind === "weight" && chosen.from >= 0 ? "" : "none";
  for (const each of drawn.units) {
    const stage = about.stages[each.stage], value = valueOf(frame, stage, each.unit, row), back = cotangentOf(frame, stage, each.unit, row);
    const forward = seen.forward(each.stage, each.unit), backward = back !== undefined && seen.backward(each.stage, each.unit);
    each.value.textContent = forward && each.roomy ? label(value) : "";
    each.back.textContent = backward && each.roomy ? label(back) : "";
    const name = nameOf(about, each.stage, each.unit);
    const said = `${name}: value ${forward ? brief(value, 4) : "not yet"}${back === undefined ? "" : `, cotangent ${backward ? brief(back, 4) : "not yet"}`}`;
    each.group.setAttribute("aria-label", said);
    each.group.classList.toggle("chosen", chosen.kind === "unit" && chosen.stage === each.stage && chosen.unit === each.unit);
    each.group.classList.toggle("active", seen.at?.phase === "forward" && seen.at.stage === each.stage && seen.at.units.includes(each.unit));
    each.group.classList.toggle("backward", seen.at?.phase === "backward" && seen.at.stage === each.stage && seen.at.units.includes(each.unit));
    if (each.bias) {
      each.bias.setAttribute("fill", ofSign(params[join(stage.dense, "bias")].at(each.unit)));
      each.bias.classList.toggle("chosen", chosen.kind === "weight" && chosen.from < 0 && chosen.stage === each.stage && chosen.to === each.unit);
    }
  }
  drawn.goal.classList.toggle("active", seen.at?.phase === "loss");
  drawPictures(about, frame, seen);
}

/** A number beside a unit, in the room that a column has. */
function label(x) {
  const text = brief(x, drawn.room < 62 ? 2 : 3);
  return drawn.room < 62 && text.length > 6 ? x.toExponential(0) : text;
}

const join = (path, leaf) => (path ? `${path}/${leaf}` : leaf);
const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-30);

/** In each unit, what it says everywhere: a plane of two inputs, a curve of one. */
function drawPictures(about, frame, seen) {
  const { pen } = surfaceOf($("pictures")), [rows, columns] = about.surface.small, size = drawn.size;
  pen.imageSmoothingEnabled = false;
  for (const each of drawn.units) {
    const cells = frame.units[each.stage].pictures[each.unit], { x, y } = each.place;
    pen.globalAlpha = seen.forward(each.stage, each.unit) ? 1 : 0.15;
    if (rows > 1) {
      pen.drawImage(imageOf(rows, columns, (i) => palette.ramp.subarray(3 * cells[i], 3 * cells[i] + 3)), x, y, size, size);
    } else {
      pen.fillStyle = css(palette.zero);
      pen.fillRect(x, y, size, size);
      pen.strokeStyle = css(palette.plus);
      pen.lineWidth = 1.5;
      pen.beginPath();
      for (let c = 0; c < columns; c++) pen.lineTo(x + (c / (columns - 1)) * size, y + size / 2 - ((cells[c] - 127) / 127) * (size / 2 - 2));
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
}
