// The state of the page, the walk through a step, and the keys.

const S = { about: null, frame: null, row: 0, chosen: null, tick: 0, ticks: [], playing: false, busy: false, waiting: 0, walk: null, walking: false, beat: 130, losses: [], seen: new Map(), run: 0 };
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const GROUPS = 8; // a column lights up in at most this many parts
let ask = null;

/** The parts of a step in order: each unit forward, the loss, each unit backward, the update. */
function ticksOf(about) {
  const parts = (s, phase) => {
    const units = about.stages[s].units, each = Math.ceil(units / GROUPS);
    return Array.from({ length: Math.ceil(units / each) }, (_, i) => ({
      phase, stage: s, units: Array.from({ length: Math.min(each, units - i * each) }, (_, k) => i * each + k),
    }));
  };
  const columns = about.stages.map((_, s) => s);
  return [
    ...columns.flatMap((s) => parts(s, "forward")),
    { phase: "loss" },
    ...columns.slice(1).reverse().flatMap((s) => parts(s, "backward")),
    { phase: "backward", stage: 0, units: [] },
    { phase: "update" },
  ];
}

/** What of the step has been reached at the tick; at rest, all but the update. */
function reached() {
  const done = new Set();
  S.ticks.slice(0, S.tick).forEach((tick) => (tick.units ?? [0]).forEach((k) => done.add(`${tick.phase} ${tick.stage} ${k}`)));
  return {
    at: S.tick < S.ticks.length - 1 || S.walking ? S.ticks[S.tick - 1] : null,
    forward: (s, k) => done.has(`forward ${s} ${k}`),
    backward: (s, k) => done.has(`backward ${s} ${k}`),
    link: (s, k) => done.has(`forward ${s} ${k}`),
    gradient: (s) => S.walking && S.ticks[S.tick - 1]?.phase === "backward" && s > S.ticks[S.tick - 1].stage,
    updated: S.tick === S.ticks.length,
  };
}

/** Where the program is: at the tick while a step is walked through, else at what is chosen. */
function place(at) {
  if (at && !at.units) return { section: at.phase };
  if (at) {
    // the cotangent of a column's output is made by the layers of the next one, or by the loss
    const stage = S.about.stages[at.stage + (at.phase === "backward" ? 1 : 0)];
    return { section: at.phase, paths: stage ? stage.layers.map((layer) => layer.path) : [""] };
  }
  const stage = S.about.stages[S.chosen.stage];
  if (S.chosen.kind === "unit") return { section: "forward", paths: stage.layers.map((layer) => layer.path) };
  return { section: "backward", paths: [stage.dense], leaf: join(stage.dense, S.chosen.from < 0 ? "bias" : "weight") };
}

function phaseText(at) {
  if (!S.tick) return "before the step";
  if (!at) return S.tick === S.ticks.length ? "updated" : "forward and backward done";
  if (at.phase === "loss") return `the loss: ${brief(S.frame.loss, 5)}`;
  if (at.phase === "update") return "the weights are updated";
  if (at.phase === "backward" && !at.stage) return `backward: gradients of ${S.about.stages[1].dense}`;
  const names = at.units.map((k) => cut(nameOf(S.about, at.stage, k), 14));
  return `${at.phase}: ${names.length > 2 ? `${names[0]} to ${names[names.length - 1]}` : names.join(", ")}`;
}

function draw() {
  const { about, frame } = S, seen = reached();
  $("count").textContent = about.total === frame.step ? `${frame.step}, the last` : frame.step;
  $("epoch").textContent = frame.epoch.toFixed(2);
  $("loss").textContent = exact(frame.loss, frame.x.single);
  const last = S.ticks.length;
  $("tick").max = last;
  $("tick").value = S.tick;
  $("phase").textContent = phaseText(seen.at);
  $("row").max = frame.y.shape[0] - 1;
  S.row = Math.min(S.row, frame.y.shape[0] - 1);
  $("row").value = S.row;
  const target = frame.y.at(S.row);
  $("row-shown").textContent = `${S.row}: ${cut(about.classes ? about.classes[target] : brief(target), 12)}`;
  drawNet(about, frame, S.row, S.chosen, seen);
  drawData(about, frame, S.row);
  drawSurface(about, frame);
  drawLosses(about.total, S.losses.slice(0, frame.step), S.seen, frame.step);
  drawScores(frame.scores);
  if (S.chosen.kind === "weight") showWeight(about, frame, S.row, S.chosen);
  else showUnit(about, frame, S.row, S.chosen);
  markProgram(about, place(seen.at));
  // not disabled, which would take the focus from them
  for (const id of ["back", "reset"]) $(id).ariaDisabled = frame.step === 0;
  $("step").ariaDisabled = frame.step >= about.total;
  $("play").classList.toggle("playing", S.playing);
  $("play").setAttribute("aria-label", S.playing ? "Pause" : "Play");
  if (frame.problem) say(frame.problem);
}

const say = (text) => ($("status").textContent = text);

/** Take a frame as the one that is shown. */
function take(raw) {
  const frame = opened(raw);
  for (const part of frame.units) part.pictures = part.pictures.map(bytes);
  for (const name of ["cells", "labels", "sure"]) if (frame.picture[name]) frame.picture[name] = bytes(frame.picture[name]);
  S.frame = frame;
  S.losses.splice(frame.since, Infinity, ...frame.losses);
  S.seen.set(frame.step, frame.scores);
}

/** Begin with an experiment at step 0. */
function begin(raw) {
  const { frame, ...about } = raw;
  S.about = opened(about);
  for (const stage of S.about.stages) stage.bias = stage.dense !== null && join(stage.dense, "bias") in frame.params;
  S.run += 1;
  S.losses = [];
  S.seen = new Map();
  S.row = 0;
  S.chosen = { kind: "weight", stage: S.about.stages.length - 1, from: 0, to: 0 };
  take(frame);
  if (S.frame.picture.kind === "values") S.about.values = [S.frame.picture.low, S.frame.picture.high];
  S.ticks = ticksOf(S.about);
  settle();
  document.title = about.name ? `${about.name} – funcnet play` : "funcnet play";
  showControls(S.about, change);
  if (given.mode === "recorded") disableControls();
  showProgram(S.about);
  drawLegend(S.about);
  $("surface-title").textContent = S.about.surface.rows === 1 ? "Curve" : S.about.classes ? "Boundary" : "Answers";
  layOut(S.about, { weight: (stage, from, to) => choose({ kind: "weight", stage, from, to }), unit: (stage, unit) => choose({ kind: "unit", stage, unit }) });
  showPicks();
  draw();
}

/** Choose a weight or a unit; a walk goes on. */
function choose(chosen) {
  S.chosen = chosen;
  if (!S.walk) settle();
  showPicks();
  draw();
}

function showPicks() {
  const { about, chosen } = S, s = Math.max(1, chosen.stage), before = about.stages[s - 1].units;
  const list = (select, entries, value) => {
    select.replaceChildren(...entries.map(([text, key]) => new Option(cut(text, 30), key)));
    select.value = value;
  };
  list($("pick-layer"), about.stages.slice(1).map((stage, i) => [stage.dense, i + 1]), s);
  const from = Array.from({ length: before }, (_, k) => [nameOf(about, s - 1, k), k]);
  list($("pick-from"), about.stages[s].bias ? [...from, ["bias", -1]] : from, chosen.from ?? 0);
  list($("pick-to"), Array.from({ length: about.stages[s].units }, (_, k) => [nameOf(about, s, k), k]), chosen.to ?? (chosen.stage ? chosen.unit : 0));
}

function pick(name) {
  const stage = Number($("pick-layer").value), fresh = name === "pick-layer";
  choose({ kind: "weight", stage, from: fresh ? 0 : Number($("pick-from").value), to: fresh ? 0 : Number($("pick-to").value) });
}

/** Make a request; only one is under way, and its error is one line. */
async function request(body) {
  if (S.busy) return null;
  S.busy = true;
  try {
    const found = await ask(body);
    say("");
    return found;
  } catch (error) {
    pause();
    say(error.message);
    return null;
  } finally {
    S.busy = false;
  }
}

async function change(name, value) {
  pause();
  await restart({ do: "set", name, value });
}

/** Ask for another experiment; the controls show the present one again if it is refused. */
async function restart(body) {
  S.waiting += 1;
  while (S.busy) await rest(10);
  const found = await request(body);
  S.waiting -= 1;
  if (found) begin(found);
  else showControls(S.about, change);
}

/** The step that is `by` steps away; in a recording, the next that it has. */
function target(by) {
  const { steps, total } = S.about, now = S.frame.step;
  if (!steps) return Math.max(0, Math.min(total, now + by));
  return steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(now) + Math.sign(by)))];
}

async function go(to) {
  if (to === S.frame.step) return false;
  const run = S.run, found = await request({ do: "frame", to, since: Math.min(S.losses.length, to) });
  if (!found || run !== S.run) return false;
  if (found.run !== S.about.run) {
    await restart({ do: "about" });
    say("another window has begun this experiment; this one shows it now");
    return false;
  }
  const moved = found.step !== S.frame.step;
  take(found);
  if (!S.walk) settle();
  return moved;
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));
const picture = () => new Promise((done) => requestAnimationFrame(done));

/** One step, walked through: the update, then each unit forward and backward on the next batch. */
async function walk() {
  if (S.walk || S.busy) return;
  const own = (S.walk = {}), mine = () => S.walk === own;
  S.tick = S.ticks.length;
  S.walking = true;
  draw();
  await rest(calm.matches ? 0 : 2.5 * S.beat);
  if (!mine()) return;
  const moved = await go(target(1));
  if (!mine()) return;
  if (!moved) pause();
  for (let tick = moved && !calm.matches ? 1 : S.ticks.length - 1; tick < S.ticks.length; tick++) {
    S.tick = tick;
    S.walking = true;
    draw();
    await rest(calm.matches ? 0 : Math.min(S.beat, 3200 / S.ticks.length));
    if (!mine()) return;
  }
  settle();
  draw();
}

/** End a walk: all of the step is shown. */
function settle() {
  S.walk = null;
  S.walking = false;
  S.tick = S.ticks.length - 1;
}

function pause() {
  S.playing = false;
  if (S.frame) draw();
}

async function play() {
  if (S.playing) return pause();
  S.playing = true;
  const run = S.run;
  while (S.playing && run === S.run) {
    if (S.frame.step >= S.about.total) break;
    if ($("pace").value === "slow") {
      if (S.walk) await rest(20);
      else await walk();
    } else {
      settle();
      if (!(await go(target(Number($("pace").value)))) && !S.busy) break;
      if (!S.playing) return;
      draw();
      if (S.about.steps) await rest(90);
      await picture();
    }
  }
  pause();
}

async function single(by) {
  S.playing = false;
  if (by > 0 && $("pace").value === "slow") return walk();
  settle();
  await go(target(by));
  draw();
}

/** Draw on the plane of two other inputs; one that both would show moves to the other axis. */
async function turn(name, other) {
  const axes = S.about.surface.axes, before = axes[name === "across" ? 0 : 1];
  if ($(other).value === $(name).value) $(other).value = before;
  const run = S.run;
  S.waiting += 1;
  while (S.busy) await rest(10);
  const found = await request({ do: "plane", across: Number($("across").value), up: Number($("up").value), at: S.frame.step });
  S.waiting -= 1;
  if (run !== S.run) return;
  if (found) {
    S.about.surface = opened(found.surface);
    take(found);
    drawLegend(S.about);
  }
  $("across").value = S.about.surface.axes[0];
  $("up").value = S.about.surface.axes[1];
  draw();
}

async function home() {
  S.playing = false;
  settle();
  await go(0);
  draw();
}

function connect() {
  $("play").addEventListener("click", play);
  $("step").addEventListener("click", () => single(1));
  $("back").addEventListener("click", () => single(-1));
  $("reset").addEventListener("click", home);
  $("tick").addEventListener("input", () => {
    S.playing = false;
    S.walk = null;
    S.walking = true;
    S.tick = Number($("tick").value);
    draw();
  });
  $("row").addEventListener("input", () => ((S.row = Number($("row").value)), draw()));
  $("data").addEventListener("click", (event) => ((S.row = nearestRow(S.about, S.frame, event)), draw()));
  for (const name of ["pick-layer", "pick-from", "pick-to"]) $(name).addEventListener("change", () => pick(name));
  for (const [name, other] of [["across", "up"], ["up", "across"]]) {
    $(name).addEventListener("change", () => turn(name, other));
  }
  $("again").addEventListener("click", () => (pause(), restart({ do: "reset" })));
  connectControls(change, (text) => (pause(), restart({ do: "table", text })));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog, pre, summary")) return;
    const button = event.target.closest("button");
    if (event.key === " " && (!button || button.id === "play")) play();
    else if (event.key === "ArrowRight") single(1);
    else if (event.key === "ArrowLeft") single(-1);
    else if (event.key === "Home") home();
    else return;
    event.preventDefault();
  });
  let width = 0;
  new ResizeObserver(() => {
    if (width === $("graph").clientWidth) return;
    width = $("graph").clientWidth;
    layOut(S.about, { weight: (stage, from, to) => choose({ kind: "weight", stage, from, to }), unit: (stage, unit) => choose({ kind: "unit", stage, unit }) });
    drawTiles();
    draw();
  }).observe($("graph"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (readPalette(), drawTiles(), drawLegend(S.about), draw()));
}

(async () => {
  readPalette();
  ask = await asker();
  try {
    begin(await ask({ do: "about" }));
  } catch (error) {
    return say(error.message);
  }
  connect();
})();
