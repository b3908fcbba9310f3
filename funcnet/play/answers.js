// What the network says for the row that is shown, and one unit in large.

const MANY = 8; // of more classes than that, the target comes first, as the others may be out of sight

/** The answer for a row beside its target: the probability of each class, or a value. */
function drawAnswer(about, frame, row, done) {
  const { answers, restored } = frame, target = frame.y.at(row), { classes } = about;
  const write = (k) => (done ? exact(answers.at(row, k), answers.single) : "not yet");
  const lines = [], line = (kind, ...texts) => {
    const made = document.createElement("tr");
    texts.forEach((text) => made.append(element(kind, cut(text, 26))));
    lines.push(made);
    return made;
  };
  if (!classes) {
    line("th", "", ...(restored ? ["as trained on", "in the data"] : ["value"]));
    line("td", "answer", write(0), ...(restored ? [done ? brief(restored.answers.at(row), 6) : "not yet"] : []));
    line("td", "target", exact(target, frame.y.single), ...(restored ? [brief(restored.y.at(row), 6)] : []));
  } else {
    line("th", "", about.certain);
    const order = answers.width === 1 ? [1] : classes.map((_, k) => k);
    if (order.length > MANY) order.unshift(...order.splice(target, 1));
    for (const k of order) {
      const is = k === target;
      line("td", is ? `${cut(classes[k], 17)} (target)` : classes[k], write(answers.width === 1 ? 0 : k)).classList.toggle("here", is);
    }
    if (answers.width === 1 && target !== 1) line("td", `${cut(classes[target], 17)} (target)`, "").classList.add("here");
  }
  const [head, ...rest] = lines, table = $("answer");
  (table.tHead ?? table.createTHead()).replaceChildren(head);
  (table.tBodies[0] ?? table.createTBody()).replaceChildren(...rest);
  $("answer-title").textContent = `Row ${row} of the batch`;
}

/** The value of a unit at every input, where the answers are otherwise; its scale is beside it. */
function drawUnit(about, frame, { stage, unit }) {
  const { pen, width, height } = surfaceOf($("surface")), at = axes(about, width, height);
  const [rows, columns] = about.surface.small, { pictures, scale } = frame.units[stage], cells = pictures[unit];
  const [x, y] = [MARGIN, MARGIN], wide = width - 2 * MARGIN, high = height - 2 * MARGIN;
  pen.fillStyle = css(palette.zero);
  pen.fillRect(0, 0, width, height);
  if (rows > 1) {
    pen.imageSmoothingEnabled = true;
    pen.drawImage(imageOf(rows, columns, (i) => palette.ramp.subarray(3 * cells[i], 3 * cells[i] + 3)), x, y, wide, high);
    drawPoints(about, pen, at, about.points, 3, false);
  } else {
    pen.strokeStyle = css(palette.plus);
    pen.lineWidth = 2.6;
    pen.beginPath();
    for (let c = 0; c < columns; c++) pen.lineTo(x + (c / (columns - 1)) * wide, y + high / 2 - ((cells[c] - 127) / 127) * (high / 2));
    pen.stroke();
  }
  return scale;
}
