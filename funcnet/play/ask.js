// Where frames come from: a server on this machine, a recording, or the library in this browser.

const given = JSON.parse($("given").textContent);

async function askServer(request) {
  let reply;
  try {
    reply = await fetch("ask", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) });
  } catch {
    throw new Error("funcnet play has ended; start it again and open the address that it prints");
  }
  const found = await reply.json();
  if (found.error) throw new Error(found.error);
  return found;
}

/** A recording: its frames are those of some steps, and `to` finds the nearest in its direction. */
function askRecording() {
  const { frames, losses, ...about } = given;
  const all = opened(losses).values, steps = frames.map((frame) => frame.step);
  return async (request) => {
    if (request.do === "about") return { ...about, steps, frame: { ...frames[0], since: 0, losses: [] } };
    const i = steps.indexOf(request.to);
    return { ...frames[i], since: request.since, losses: Array.from(all.slice(request.since, request.to)) };
  };
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** The library on Pyodide, after a click: nothing is loaded before it. */
function askLibrary() {
  const dialog = $("start"), begin = element("button", "Load and begin"), said = element("p", "");
  const title = element("h2", `funcnet ${given.version} in this browser`);
  title.id = "start-title";
  begin.className = "primary";
  dialog.append(
    title,
    element("p", "The library is in this page. Python and NumPy are not: they are Pyodide, about 10 MB, loaded from"),
    element("p", given.pyodide),
    element("p", "Nothing else is loaded, and nothing is sent."),
    begin,
    said,
  );
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    begin.addEventListener("click", async () => {
      begin.disabled = true;
      said.textContent = "Loading Python…";
      try {
        const { loadPyodide } = await import(`${given.pyodide}pyodide.mjs`);
        const python = await loadPyodide({ indexURL: given.pyodide });
        said.textContent = "Loading NumPy…";
        await python.loadPackage("numpy", { messageCallback() {} });
        said.textContent = "Starting funcnet…";
        python.unpackArchive(bytes(given.library), "zip", { extractDir: "/lib/funcnet-page" });
        python.runPython("import sys; sys.path.insert(0, '/lib/funcnet-page')");
        const ask = python.runPython("from funcnet.play.browser import opened; opened")(given.spec, given.table, given.files, given.name);
        dialog.close();
        resolve(async (request) => {
          const found = JSON.parse(ask(JSON.stringify(request)));
          if (found.error) throw new Error(found.error);
          return found;
        });
      } catch (error) {
        begin.disabled = false;
        said.textContent = `It could not be loaded: ${error.message}`;
      }
    });
  });
}

async function asker() {
  if (given.mode === "recorded") return askRecording();
  return given.mode === "browser" ? await askLibrary() : askServer;
}
