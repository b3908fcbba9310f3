// One weight and its gradient, one unit and its value, and the lines of the program that compute them.

/** The input of a column's Dense layer: its name, and its numbers by row. */
function inputOf(about, frame, s, from) {
  const stage = about.stages[s - 1];
  return { name: nameOf(about, s - 1, from), at: (row) => valueOf(frame, stage, from, row) };
}

function tableOf(said, heads, rows, here, foot) {
  const box = element("div", ""), table = document.createElement("table"), head = table.createTHead().insertRow();
  box.className = "scroll";
  box.tabIndex = 0;
  box.role = "region";
  box.ariaLabel = said;
  for (const name of heads) head.append(element("th", name));
  const body = table.createTBody();
  rows.forEach((cells, i) => {
    const line = body.insertRow();
    line.classList.toggle("here", i === here);
    for (const text of cells) line.insertCell().textContent = text;
  });
  if (foot) {
    const line = table.createTFoot().insertRow();
    for (const text of foot) line.insertCell().textContent = text;
  }
  box.append(table);
  return box;
}

/** Show parts in place of others; a table stays where it was scrolled to, and keeps the focus. */
function showDetail(...parts) {
  const detail = $("detail"), before = detail.querySelector(".scroll"), top = before?.scrollTop ?? 0;
  const focused = before !== null && before === document.activeElement;
  detail.replaceChildren(...parts);
  const now = detail.querySelector(".scroll");
  if (now) now.scrollTop = top;
  if (focused) now?.focus({ preventScroll: true });
}

function sentence(...parts) {
  const made = element("p", "");
  made.className = "sum";
  for (const part of parts) made.append(typeof part === "string" ? part : element("b", part[0]));
  return made;
}

/** dL/dw = Σ x · dy over the rows of the batch. */
function showWeight(about, frame, row, { stage: s, from, to }) {
  const stage = about.stages[s], bias = from < 0, path = join(stage.dense, bias ? "bias" : "weight");
  const single = frame.params[path].single, index = bias ? [to] : [from, to], write = (x) => exact(x, single);
  const w = frame.params[path].at(...index), gradient = frame.grads[path].at(...index), dy = frame.cotangents[stage.dense];
  const input = bias ? null : inputOf(about, frame, s, from), product = single ? Math.fround : (x) => x;
  $("detail-title").textContent = `${bias ? "Bias" : "Weight"} ${path}[${index.join(", ")}]`;
  const rows = [];
  for (let i = 0; i < frame.y.shape[0]; i++) {
    const back = dy.at(i, to);
    rows.push(bias ? [i, write(back)] : [i, write(input.at(i)), write(back), write(product(input.at(i) * back))]);
  }
  const foot = bias ? ["Σ", write(gradient)] : ["Σ", "", "", write(gradient)];
  showDetail(
    sentence(bias ? "added to " : `from ${cut(input.name, 30)} to `, `${cut(nameOf(about, s, to), 30)}: w = `, [write(w)]),
    sentence(bias ? "dL/dw = Σ dy = " : "dL/dw = Σ x · dy = ", [write(gradient)]),
    tableOf("The gradient, row by row", bias ? ["row", "dy"] : ["row", "x", "dy", "x · dy"], rows, row, foot),
    frame.after
      ? sentence(`after this step, by ${about.optimizer}: w = `, [write(frame.after[path].at(...index))])
      : sentence("this step fails: its numbers are not finite"),
  );
  $("detail").dataset.gradient = write(gradient);
}

/** The value of a unit for one row: what it adds up, and what its activation makes of it. */
function showUnit(about, frame, row, { stage: s, unit }) {
  const stage = about.stages[s], parts = [];
  $("detail-title").textContent = `${s ? "Unit" : "Input"} ${cut(nameOf(about, s, unit), 40)}`;
  if (!s) {
    parts.push(sentence(`input of row ${row}: `, [exact(frame.x.at(row, unit), frame.x.single)]));
  } else {
    const weights = frame.params[join(stage.dense, "weight")], bias = frame.params[join(stage.dense, "bias")];
    const write = (x) => exact(x, weights.single), product = weights.single ? Math.fround : (x) => x, rows = [];
    for (let from = 0; from < about.stages[s - 1].units; from++) {
      const { name, at } = inputOf(about, frame, s, from), x = at(row), w = weights.at(from, unit);
      rows.push([cut(name, 18), write(x), write(w), write(product(x * w))]);
    }
    if (bias) rows.push(["bias", "", "", write(bias.at(unit))]);
    parts.push(tableOf("What the unit adds up", ["from", "x", "w", "x · w"], rows, -1, ["Σ", "", "", write(frame.values[stage.dense].at(row, unit))]));
    for (const layer of stage.layers) {
      const line = sentence(`${layer.path} (${layer.type}): y = `, [write(frame.values[layer.path].at(row, unit))], ", dL/dy = ");
      const back = element("b", write(frame.cotangents[layer.path].at(row, unit)));
      back.className = "cotangent";
      line.append(back);
      parts.push(line);
    }
  }
  showDetail(...parts);
}

function showProgram(about) {
  $("program").replaceChildren(
    ...about.program.map((line) => {
      const made = element("span", line.text);
      made.classList.toggle("said", line.text.trimStart().startsWith("#"));
      return made;
    }),
  );
}

/** Mark the lines at work, and write the equations; `at` is {section, paths, leaf}: without paths, the whole section. */
function markProgram(about, at) {
  const code = (line) => line.text.trim() && !line.text.trimStart().startsWith("#");
  const own = (line) => code(line) && line.section === at.section && (!at.paths || at.paths.includes(line.path));
  const lines = $("program").children;
  const exactly = at.leaf && about.program.some((line) => own(line) && line.leaf === at.leaf);
  let first = null;
  about.program.forEach((line, i) => {
    const here = own(line) && (!exactly || line.leaf === at.leaf);
    const near = at.leaf && code(line) && line.section === "update" && line.leaf === at.leaf;
    lines[i].classList.toggle("here", Boolean(here));
    lines[i].classList.toggle("near", Boolean(near && !here));
    if (here && first === null) first = lines[i];
  });
  if (first) {
    const box = $("program"), up = first.offsetTop - box.offsetTop;
    if (up < box.scrollTop + 20 || up > box.scrollTop + box.clientHeight - 60) box.scrollTop = up - box.clientHeight / 3;
  }
  const known = about.equations[at.section] ?? {};
  const said = (at.paths ?? [""]).filter((path) => known[path]).map((path) => (path ? `${path}: ${known[path]}` : known[path]));
  const whole = { loss: `loss: ${about.loss}`, backward: `from the loss: ${about.loss}`, update: `update: ${about.optimizer}` };
  $("equation").textContent = said.length ? said.join("\n") : (whole[at.section] ?? "");
}
