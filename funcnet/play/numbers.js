// Exact arrays from the library, and how their numbers are written.

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array };
const $ = (id) => document.getElementById(id);

function bytes(text) {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found;
}

/** An array: its values, shape, and rows of `width` numbers. */
function unpacked(given) {
  const values = new KINDS[given.type](bytes(given.data).buffer);
  const width = given.shape.length > 1 ? given.shape.slice(1).reduce((a, b) => a * b, 1) : 1;
  return { values, shape: given.shape, width, single: given.type === "f4", at: (row, k = 0) => values[row * width + k] };
}

/** Every packed array inside an answer, unpacked. */
function opened(value) {
  if (Array.isArray(value)) return value.map(opened);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.type === "string" && typeof value.data === "string" && value.shape) return unpacked(value);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, opened(inner)]));
}

/** The shortest text that is this number and no other of its type: all its digits. */
function exact(x, single = false) {
  if (typeof x !== "number" || !Number.isFinite(x)) return String(x);
  let shortest = x;
  for (let digits = 1; single && digits < 10; digits++) {
    shortest = Number(x.toPrecision(digits));
    if (Math.fround(shortest) === x) break;
  }
  return x !== 0 && Math.abs(x) < 1e-4 ? shortest.toExponential() : String(shortest);
}

/** A number in little space. */
function brief(x, digits = 3) {
  if (typeof x !== "number" || !Number.isFinite(x)) return String(x);
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) return x.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  return size >= 10 ** digits ? x.toFixed(0) : x.toPrecision(digits);
}
