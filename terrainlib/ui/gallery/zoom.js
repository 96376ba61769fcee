// Zoom and pan by mouse, wheel, touch and keys: what every view of pictures shares.

const MAX_ZOOM = 16;

/** Make an element: `make("p", {class: "note"}, "text", child)`. Text is never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function button(text, title, action) {
  const attributes = { type: "button", class: "button", title, "aria-label": title };
  const result = make("button", attributes, text);
  result.onclick = action;
  return result;
}

/**
 * Return one zoom and pan over areas of one size, with the buttons for it in `tools`.
 *
 * `placed` is called with {zoom, x, y} whenever they change. Pointers that `takes`
 * claims when they go down are told to `moved`, until they go up; the others pan. Two
 * fingers zoom. `left` is told when a claimed pointer goes up, and whether it was taken
 * away, as by a second finger. `most` is the largest zoom.
 */
function createZoom(areas, placed, hand = {}) {
  const { takes = () => false, moved = () => {}, left = () => {} } = hand;
  const { most = () => MAX_ZOOM, buttons = [0], wheelZooms = false } = hand;
  const state = { zoom: 1, x: 0, y: 0 };
  const level = make("output", { class: "level", "aria-label": "Zoom" });
  const tools = make(
    "div",
    { class: "tools" },
    button("−", "Zoom out", () => zoomBy(1 / 1.5)),
    level,
    button("+", "Zoom in", () => zoomBy(1.5)),
    button("Fit", "Fit the whole picture", fit)
  );
  const observer = new ResizeObserver(place);
  for (const area of areas) wire(area);
  observer.observe(areas[0]);
  return { state, tools, place, fit, goTo, panBy, onKey, close: () => observer.disconnect() };

  function place() {
    const { clientWidth: width, clientHeight: height } = areas[0];
    state.x = Math.min(0, Math.max(width * (1 - state.zoom), state.x));
    state.y = Math.min(0, Math.max(height * (1 - state.zoom), state.y));
    for (const area of areas) area.classList.toggle("zoomed", state.zoom > 1);
    level.textContent = `${Math.round(state.zoom * 100)} %`;
    placed(state);
  }

  function fit() {
    goTo({ zoom: 1, x: 0, y: 0 });
  }

  function goTo(wanted) {
    Object.assign(state, wanted, { zoom: Math.min(most(), Math.max(1, wanted.zoom)) });
    place();
  }

  /** Zoom by a factor, keeping the point (x, y) of an area where it is. */
  function zoomBy(factor, x = areas[0].clientWidth / 2, y = areas[0].clientHeight / 2) {
    const zoom = Math.min(most(), Math.max(1, state.zoom * factor));
    state.x = x - ((x - state.x) * zoom) / state.zoom;
    state.y = y - ((y - state.y) * zoom) / state.zoom;
    state.zoom = zoom;
    place();
  }

  function panBy(x, y) {
    state.x += x;
    state.y += y;
    place();
  }

  function wire(area) {
    const pointers = new Map(); // id -> [x, y] within the area
    const within = (event) => {
      const box = area.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    area.onpointerdown = (event) => {
      if (!buttons.includes(event.button) || pointers.size === 2) return;
      area.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, within(event));
      if (area.dataset.drag === "taken") left(event, true);
      area.dataset.drag = pointers.size === 1 && takes(event) ? "taken" : "pan";
      if (area.dataset.drag === "taken") moved(event);
    };
    area.onpointermove = (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = within(event);
      pointers.set(event.pointerId, now);
      if (pointers.size === 2) pinch(event.pointerId, before, now);
      else if (area.dataset.drag === "pan") panBy(now[0] - before[0], now[1] - before[1]);
      else moved(event);
    };
    area.onpointerup = area.onpointercancel = (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (area.dataset.drag === "taken") left(event, event.type === "pointercancel");
      if (!pointers.size) delete area.dataset.drag;
      else area.dataset.drag = "pan"; // one of two fingers is left
    };
    area.addEventListener("wheel", (event) => onWheel(event, within(event)), { passive: false });

    function pinch(moving, before, now) {
      const [still] = [...pointers].filter(([id]) => id !== moving).map(([, place]) => place);
      const apart = (place) => Math.hypot(place[0] - still[0], place[1] - still[1]);
      zoomBy(apart(now) / Math.max(1, apart(before)), ...still);
    }
  }

  /**
   * Ctrl + wheel and the pinch of a touch pad zoom. The plain wheel scrolls the page;
   * with `wheelZooms` it zooms too, as far as there is anything to zoom.
   */
  function onWheel(event, place) {
    const plain = !event.ctrlKey && !event.metaKey;
    if (plain && (!wheelZooms || (state.zoom === 1 && event.deltaY > 0))) return;
    event.preventDefault();
    const step = event.deltaY * (event.deltaMode ? 16 : 1); // lines or pixels
    zoomBy(Math.exp(-step / (plain ? 400 : 200)), ...place);
  }

  /** Do what a key stands for, after what `own` has for it. */
  function onKey(event, own = {}) {
    const pan = 40;
    const actions = {
      ArrowLeft: () => panBy(pan, 0),
      ArrowRight: () => panBy(-pan, 0),
      ArrowUp: () => panBy(0, pan),
      ArrowDown: () => panBy(0, -pan),
      "+": () => zoomBy(1.5),
      "-": () => zoomBy(1 / 1.5),
      0: fit,
      ...own,
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

/** Return one of the files, the rows of an Arrow table, as a blob. */
function fileOf({ files }, name) {
  const column = (title) => [...files.getChild(title)];
  const row = column("name").indexOf(name);
  if (row < 0) return null;
  return new Blob([files.getChild("content").get(row)], { type: column("type")[row] });
}
