// The rows, the answers everywhere, and the loss.

const MARGIN = 6;

/** Places of points in a canvas. */
function axes(about, width, height) {
  const [left, right, bottom, top] = about.surface.limits;
  return {
    x: (v) => MARGIN + ((v - left) / (right - left)) * (width - 2 * MARGIN),
    y: (v) => height - MARGIN - ((v - bottom) / (top - bottom)) * (height - 2 * MARGIN),
  };
}

/** Where a row is: its two inputs, or its input and target. */
function placed(about, at, x, y, i) {
  const [across, up] = about.surface.axes;
  return [at.x(x.at(i, across)), at.y(up === undefined ? y.at(i) : x.at(i, up))];
}

function colourOf(about, target) {
  if (about.classes) return ofClass(target);
  const [, , bottom, top] = about.surface.limits;
  if (about.surface.rows === 1) return palette.quiet;
  const low = about.values ? about.values[0] : bottom, high = about.values ? about.values[1] : top;
  const part = Math.max(0, Math.min(254, Math.round(((target - low) / (high - low)) * 254)));
  return palette.ramp.subarray(3 * part, 3 * part + 3);
}

function drawPoints(about, pen, at, part, radius, hollow) {
  for (let i = 0; i < part.y.shape[0]; i++) {
    const [x, y] = placed(about, at, part.x, part.y, i), colour = css(colourOf(about, part.y.at(i)), hollow ? 1 : 0.9);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    if (hollow) {
      pen.strokeStyle = about.classes ? colour : css(palette.ink, 0.8);
      pen.lineWidth = 1.2;
      pen.stroke();
    } else {
      pen.fillStyle = colour;
      pen.strokeStyle = about.classes ? css(palette.card) : css(palette.ink, 0.6);
      pen.lineWidth = 0.8;
      pen.fill();
      pen.stroke();
    }
  }
}

/** The rows, those of the batch with rings, and the one whose values are shown. */
function drawData(about, frame, row) {
  const { pen, width, height } = surfaceOf($("data")), at = axes(about, width, height);
  pen.fillStyle = css(palette.zero);
  pen.fillRect(0, 0, width, height);
  drawPoints(about, pen, at, about.points, 3, false);
  for (let i = 0; i < frame.y.shape[0]; i++) {
    const [x, y] = placed(about, at, frame.x, frame.y, i);
    pen.beginPath();
    pen.arc(x, y, i === row ? 8 : 5, 0, 7);
    pen.strokeStyle = css(palette.ink, i === row ? 1 : 0.55);
    pen.lineWidth = i === row ? 2.2 : 1;
    pen.stroke();
  }
}

/** The row of the batch nearest to a place in the picture of the rows. */
function nearestRow(about, frame, event) {
  const box = $("data").getBoundingClientRect(), at = axes(about, box.width, box.height);
  let best = 0, least = Infinity;
  for (let i = 0; i < frame.y.shape[0]; i++) {
    const [x, y] = placed(about, at, frame.x, frame.y, i);
    const away = Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top);
    if (away < least) [best, least] = [i, away];
  }
  return best;
}

/** The answers of the network: classes or values on a plane, or curves. */
function drawSurface(about, frame) {
  const { pen, width, height } = surfaceOf($("surface")), at = axes(about, width, height), picture = frame.picture;
  pen.fillStyle = css(palette.zero);
  pen.fillRect(0, 0, width, height);
  if (picture.kind === "curves") {
    drawPoints(about, pen, at, about.points, 2.6, false);
    for (let k = 0; k < picture.y.width; k++) {
      pen.beginPath();
      for (let i = 0; i < about.surface.columns; i++) pen.lineTo(at.x(about.surface.x.at(i)), at.y(picture.y.at(i, k)));
      pen.strokeStyle = css(about.classes && picture.y.width > 1 ? ofClass(k) : palette.plus);
      pen.lineWidth = 2.6;
      pen.stroke();
    }
  } else {
    const { rows, columns } = about.surface, ground = palette.zero;
    const paint = picture.kind === "values"
      ? (i) => palette.ramp.subarray(3 * Math.min(254, picture.cells[i]), 3 * Math.min(254, picture.cells[i]) + 3)
      : (i) => ofClass(picture.labels[i]).map((c, j) => ground[j] + (0.12 + (0.6 * picture.sure[i]) / 255) * (c - ground[j]));
    pen.imageSmoothingEnabled = true;
    const x = at.x(about.surface.limits[0]), y = at.y(about.surface.limits[3]);
    pen.drawImage(imageOf(rows, columns, paint), x, y, width - 2 * x, height - 2 * y);
    drawPoints(about, pen, at, about.points, 3, false);
  }
  if (about.held) drawPoints(about, pen, at, about.held, 3, true);
}

function drawLegend(about) {
  const legend = $("legend");
  legend.replaceChildren();
  const entry = (text, colour) => {
    const part = element("span", ""), dot = document.createElement("i");
    dot.style.background = css(colour);
    part.append(dot, cut(text, 24));
    legend.append(part);
  };
  if (about.classes) about.classes.slice(0, 7).forEach((name, k) => entry(name, ofClass(k)));
  legend.append(element("span", about.held ? "filled: trained on; hollow: held out" : "all rows are trained on"));
  legend.append(element("span", about.surface.axes.map((k, i) => `${"→↑"[i]} ${cut(about.inputs[k], 24)}`).join("  ")));
  if (about.inputs.length > 2) legend.append(element("span", "other inputs: at their means"));
}

/** The loss by step: of each batch, and of whole parts at the steps that were looked at. */
function drawLosses(total, losses, seen, step) {
  const svg = $("losses"), width = svg.clientWidth || 300, height = 150, left = 36, bottom = 18;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const shown = [...seen.entries()].sort((a, b) => a[0] - b[0]);
  const numbers = [...losses, ...shown.flatMap(([, scores]) => Object.values(scores).map((part) => part.loss))].filter(Number.isFinite);
  const end = Math.max(10, losses.length, step), most = Math.max(1e-9, quantile(numbers, 0.995)) * 1.05;
  const x = (v) => left + (v / end) * (width - left - 4), y = (v) => 4 + (1 - Math.min(1, v / most)) * (height - bottom - 8);
  for (const part of [0, 0.5, 1]) {
    make("line", { x1: left, x2: width, y1: y(most * part), y2: y(most * part) }, svg);
    make("text", { x: left - 4, y: y(most * part) + (part === 1 ? 8 : 3), "text-anchor": "end" }, svg).textContent = brief(most * part, 2);
  }
  make("text", { x: width - 4, y: height - 5, "text-anchor": "end" }, svg).textContent = `step ${end}`;
  make("text", { x: left, y: height - 5 }, svg).textContent = "0";
  const every = Math.max(1, Math.floor(losses.length / 600)), line = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  const batch = [];
  for (let i = 0; i < losses.length; i += every) if (Number.isFinite(losses[i])) batch.push([i, losses[i]]);
  if (batch.length > 1) make("path", { class: "batch", d: line(batch) }, svg);
  for (const [part, name] of [["train", "train"], ["validation", "validation"], ["test", "test"]]) {
    const points = shown.filter(([, scores]) => Number.isFinite(scores[part]?.loss)).map(([at, scores]) => [at, scores[part].loss]);
    if (points.length > 1) make("path", { class: name, d: line(points) }, svg);
  }
  make("line", { class: "now", x1: x(step), x2: x(step), y1: 4, y2: height - bottom }, svg);
}

function quantile(numbers, part) {
  const sorted = numbers.slice().sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(part * (sorted.length - 1))] : 1;
}

function drawScores(scores) {
  const table = $("scores"), names = Object.keys(Object.values(scores)[0]);
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const name of ["", ...names]) head.append(element("th", name.replace(/_/g, " ")));
  const body = table.createTBody();
  for (const [part, found] of Object.entries(scores)) {
    const line = body.insertRow(), first = line.insertCell(), dot = document.createElement("i");
    dot.className = `swatch ${{ train: "plus", validation: "steep" }[part] ?? "minus"}`;
    first.append(dot, part === "train" ? "training" : part);
    for (const name of names) line.insertCell().textContent = brief(found[name], 4);
  }
}
