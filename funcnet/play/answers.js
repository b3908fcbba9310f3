// What the network says for the row that is shown, and one unit in large.

/** The answer for a row beside its target: the probability of each class, or a value. */
function drawAnswer(about, frame, row, done) {
  const table = $("answer"), write = (array, ...at) => (done ? exact(array.at(row, ...at), array.single) : "not yet");
  const head = table.tHead ?? table.createTHead(), body = table.tBodies[0] ?? table.createTBody();
  const { answers, restored } = frame, target = frame.y.at(row), lines = [];
  let heads;
  if (!about.classes) {
    heads = ["", ...(restored ? ["as trained on", "in the data"] : ["value"])];
    lines.push(["answer", write(answers), ...(restored ? [done ? brief(restored.answers.at(row), 6) : "not yet"] : [])]);
    lines.push(["target", exact(target, frame.y.single), ...(restored ? [brief(restored.y.at(row), 6)] : [])]);
  } else if (answers.width === 1) {
    heads = ["", about.certain];
    lines.push([about.classes[1], write(answers)]);
    lines.push(["target", about.classes[target]]);
  } else {
    heads = ["", about.certain];
    about.classes.forEach((name, k) => lines.push([name, write(answers, k)]));
  }
  const made = (kind, texts, marked) => {
    const line = document.createElement("tr");
    texts.forEach((text) => line.append(element(kind, cut(text, 26))));
    line.classList.toggle("here", marked);
    return line;
  };
  head.replaceChildren(made("th", heads, false));
  const each = about.classes && answers.width > 1;
  body.replaceChildren(...lines.map((texts, k) => made("td", each && k === target ? [`${cut(texts[0], 17)} (target)`, texts[1]] : texts, each && k === target)));
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
