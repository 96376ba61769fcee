// Painting on an image: stage, tools and controls, and what goes to Python and comes back.
//
// What changes comes in through shelves, small components beside this one: files, the
// strokes in portions, and what stands where. Python sends a shelf only when it changes,
// so that a stroke does not bring the picture again. Operations go to Python until it
// says that it knows them.

const FIRST_RETRY_MS = 5000; // then twice as long, and so on
const LAST_RETRY_MS = 60000;
const MASK_STAYS_MS = 5000; // an old mask, until a new one comes
const SETTINGS = "terrain-paint";
const KEYS_HELP =
  "Number keys choose the class, B P F E H the tool, square brackets the width, M hides the mask. Arrow keys move " +
  "the place that Enter or the space bar paints at, plus and minus zoom, zero shows all.";
const views = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let view = views.get(parentElement);
  if (!view) {
    view = createPainter(parentElement, data.name);
    views.set(parentElement, view);
  }
  view.send = setStateValue;
  return () => {
    view.close();
    views.delete(parentElement);
  };
}

function createPainter(parent, name) {
  const settings = {
    tool: "brush", className: null, brush: 12, tolerance: 18,
    strokes: 0.75, mask: 0.45, unsure: false, brightness: 1, contrast: 1,
    ...remembered(SETTINGS), width: 1,
  };
  const view = { send: () => {}, close };
  const spoken = make("p", { class: "unseen", role: "status" });
  const say = (text) => (spoken.textContent = text);
  const tools = createTools(settings, add, say);
  let queue = null;
  let widest = 1; // px of the image
  let fitting = 0; // the width that the brush has at this zoom
  const stage = createStage(tools.hand, rested, fitBrush);
  tools.take(stage);
  const act = {
    undo: () => turn("undo"), redo: () => turn("redo"), clear,
    canUndo: () => queue?.canUndo, canRedo: () => queue?.canRedo, canClear: () => queue?.strokes.length,
  };
  const controls = createControls(settings, changed, act);
  const saved = make("p", { class: "saved" });
  const places = make("div", { class: "places", hidden: "" });
  const eye = button("", "Show or hide mask and strokes (M)", peek);
  eye.append(icon("visibility"));
  eye.setAttribute("aria-pressed", "true");
  stage.zoom.tools.prepend(eye);
  const bar = make("div", { class: "bar" }, saved, stage.zoom.tools);
  const help = make("p", { class: "note", id: "keys" }, KEYS_HELP);
  const root = make("div", { class: "view painter" }, controls.tools, stage.element, bar, places, controls.look, help, spoken);
  parent.append(root);
  let state = null; // what stands where: the shelf of that name
  let sent = ""; // ids of the operations that were sent last
  let attempt = 0;
  let timer = 0;
  let told = null; // the view that Python knows
  let standing = null; // what strokes stand there, for other tabs
  const tabs = new BroadcastChannel("terrain-strokes");
  tabs.onmessage = ({ data }) => {
    if (data.image === state?.image && data.standing !== standing) view.send("heard", data.standing);
  };
  root.onkeydown = onKey;
  root.onkeyup = tools.onKeyUp;
  window.addEventListener("terrain-shelf", onShelf);
  changed();
  onShelf();
  return view;

  function changed() {
    if (queue && settings.width !== fitting) settings.brush = settings.width * stage.frame.scale;
    fitting = settings.width;
    controls.refresh();
    stage.look(settings);
    tools.refresh();
    remember(SETTINGS, settings);
  }

  function shelf(part) {
    return window.terrainShelves?.get(`${name}/${part}`);
  }

  function onShelf() {
    const next = shelf("state");
    if (!next) return;
    if (state?.image !== next.image) open(next);
    state = next;
    controls.setClasses(state.classes);
    stage.ink.setColors(state.classes);
    for (const layer of ["overview", "detail", "mask", "unsure"]) {
      const wanted = state.layers[layer];
      const found = shelf(layer);
      if (!wanted) takeAway(layer);
      else if (found?.id === wanted.shelf) stage.setLayer(layer, fileOf(found, "file"), wanted.window, wanted.id);
    }
    setPlaces(state.places);
    const portions = state.portions.map((id, number) => ({ id, found: shelf(`strokes-${number}`) }));
    if (portions.every(({ id, found }) => found?.id === id)) {
      queue.receive(portions.flatMap(({ found }) => found.strokes), state.settled);
      tellTabs(state.portions.join());
      refresh();
    }
  }

  /** Let other tabs of this browser look again where other strokes stand there now. */
  function tellTabs(now) {
    if (standing !== null && standing !== now) tabs.postMessage({ image: state.image, standing: now });
    standing = now;
  }

  /** Take a layer away; an old mask stays until the new one is learnt. */
  function takeAway(layer) {
    if (layer === "detail" || !queue.strokes.length) stage.setLayer(layer, null);
    else setTimeout(() => state.layers[layer] ?? stage.setLayer(layer, null), MASK_STAYS_MS);
  }

  /** Keep the brush as wide on the screen as it was; in the image it gets finer. */
  function fitBrush(scale) {
    fitting = settings.width = Math.min(widest, Math.max(1, Math.round(settings.brush / scale)));
    if (!queue) return;
    controls.refresh();
    tools.refresh();
  }

  /** Begin with another image. */
  function open(next) {
    tools.giveUp();
    const [width, height] = next.size;
    queue = createQueue(storage(), `terrain-paint ${next.image}`, newId);
    controls.setLargest(next.widest);
    widest = next.widest;
    stage.load({ width, height }, next.title);
    fitBrush(stage.frame.scale);
    told = standing = null;
    changed();
  }

  /** Show what is painted now, and send what is not known yet. */
  function refresh() {
    const { strokes } = queue;
    stage.ink.setStrokes(strokes);
    root.dataset.strokes = strokes.length;
    root.dataset.waiting = queue.waiting;
    const many = queue.waiting === 1 ? "1 change waits" : `${queue.waiting} changes wait`;
    saved.textContent = queue.waiting ? `${many} for the server …` : inWords(strokes.length);
    saved.classList.toggle("open", queue.waiting > 0);
    controls.refresh();
    send();
  }

  function send() {
    const { batch } = queue;
    const ids = batch.map(({ id }) => id).join();
    if (ids === sent) return;
    clearTimeout(timer);
    sent = ids;
    if (!batch.length) {
      attempt = 0;
      return;
    }
    view.send("operations", { image: state.image, operations: batch, attempt });
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt);
    timer = setTimeout(again, wait);
  }

  /** Send again what the server does not know, unless it is at work: then it has it. */
  function again() {
    const app = document.querySelector("[data-testid=stApp]");
    if (app?.dataset.testScriptState === "running") {
      timer = setTimeout(again, FIRST_RETRY_MS);
      return;
    }
    attempt += 1;
    sent = "";
    send();
  }

  function add(strokes) {
    if (queue.strokes.length + strokes.length > state.most) {
      say(saved.textContent = `No more than ${state.most} strokes fit on one image.`);
      stage.ink.giveUp();
      return;
    }
    queue.add(...strokes);
    say(`Painted ${strokes[0].class_name ?? "with the eraser"}.`);
    refresh();
  }

  function turn(way) {
    if (tools.giveUp() && way === "undo") return;
    if (queue?.[way]()) say(way === "undo" ? "Undone." : "Done again.");
    refresh();
  }

  function clear() {
    queue.clear();
    say("All strokes are taken away. Undo brings them back.");
    refresh();
  }

  /** Show the image alone, or with all that lies over it. */
  function peek() {
    const shown = !root.classList.toggle("bare");
    eye.setAttribute("aria-pressed", `${shown}`);
    eye.querySelector(".icon").textContent = shown ? "visibility" : "visibility_off";
  }

  function setPlaces(found) {
    if (JSON.stringify(found) === places.dataset.told) return;
    places.dataset.told = JSON.stringify(found);
    const look = (number) => {
      const [x, y, radius] = found[number];
      stage.show([x, y], radius);
      say(`Suggested place ${number + 1} is in the middle of the view.`);
    };
    stage.setPlaces(found, look);
    const list = found.map((_, at) => button(`${at + 1}`, `Look at suggested place ${at + 1}`, () => look(at)));
    places.replaceChildren(make("span", {}, "Worth a stroke:"), ...list);
    places.hidden = !found.length;
  }

  /** Tell Python which part of the image is on the screen. */
  function rested(seen) {
    if (!state || seen[2] <= seen[0] || seen[3] <= seen[1]) return;
    const next = { image: state.image, window: seen, scale: stage.frame.scale };
    if (JSON.stringify(next) === told) return;
    told = JSON.stringify(next);
    view.send("view", next);
  }

  function onKey(event) {
    const typed = event.target.matches("input:not([type=range]):not([type=radio]), summary");
    const combined = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const on = event.target === stage.element;
    let done = true;
    if (combined && (key === "y" || (key === "z" && event.shiftKey))) turn("redo");
    else if (combined && key === "z") turn("undo");
    else if (combined || event.altKey || typed) done = false;
    else if (on && tools.onKey(event)) done = true;
    else if (key === "m") peek();
    else done = controls.onKey(event.key);
    if (!done && on) stage.zoom.onKey(event);
    if (done) event.preventDefault();
    event.stopPropagation(); // Streamlit has keys of its own
  }

  function close() {
    window.removeEventListener("terrain-shelf", onShelf);
    clearTimeout(timer);
    tabs.close();
    stage.close();
    root.remove();
  }
}

function inWords(count) {
  if (!count) return "Nothing is painted yet.";
  return count === 1 ? "1 stroke, saved." : `${count} strokes, saved.`;
}

/** The tab's memory, or one that forgets where there is none. */
function storage() {
  try {
    return window.sessionStorage;
  } catch {
    return { getItem: () => null, setItem() {}, removeItem() {} };
  }
}

function remembered(name) {
  try {
    return JSON.parse(storage().getItem(name)) ?? {};
  } catch {
    return {};
  }
}

function remember(name, value) {
  try {
    storage().setItem(name, JSON.stringify(value));
  } catch {
    // Full: then it is not remembered.
  }
}
