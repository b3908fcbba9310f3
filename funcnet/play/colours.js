// Colours that follow the page's scheme: blue above 0 and orange below; a colour for each class.

let palette = {};
const CLASSES = [[217, 115, 13], [11, 118, 184], [0, 158, 115], [204, 121, 167], [86, 180, 233], [138, 58, 176], [150, 140, 20]];

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["plus", "minus", "zero", "card", "ink", "quiet", "line", "strong", "cotangent"]) {
    palette[name] = rgb(style.getPropertyValue(`--${name}`).trim());
  }
  palette.ramp = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const part = (i - 127) / 127, end = part < 0 ? palette.minus : palette.plus;
    const way = Math.min(1, Math.abs(part)) ** 0.8;
    for (let c = 0; c < 3; c++) palette.ramp[3 * i + c] = palette.zero[c] + way * (end[c] - palette.zero[c]);
  }
}

function rgb(hex) {
  const full = hex.length === 4 ? [...hex.slice(1)].map((c) => c + c).join("") : hex.slice(1);
  return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16));
}

const css = (colour, alpha = 1) => `rgb(${colour[0]} ${colour[1]} ${colour[2]} / ${alpha})`;
const ofClass = (k) => CLASSES[k % CLASSES.length];
const ofSign = (x) => css(x < 0 ? palette.minus : palette.plus);

/** A canvas of the size that it has on the screen, cleared, in CSS pixels. */
function surfaceOf(canvas) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** Cells, row by row from the bottom, as an image whose pixels `paint(i)` gives as [r, g, b]. */
function imageOf(rows, columns, paint) {
  const image = new ImageData(columns, rows);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = 4 * ((rows - 1 - r) * columns + c), colour = paint(r * columns + c);
      image.data[at] = colour[0];
      image.data[at + 1] = colour[1];
      image.data[at + 2] = colour[2];
      image.data[at + 3] = 255;
    }
  }
  const held = document.createElement("canvas");
  held.width = columns;
  held.height = rows;
  held.getContext("2d").putImageData(image, 0, 0);
  return held;
}
