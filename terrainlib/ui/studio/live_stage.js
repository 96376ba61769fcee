// The picture area of the live view: the image and what lies over it, the divider
// between them, zoom and pan. It knows nothing of sharpening.

const TAGS = { mask: "Mask", classes: "Classes", confidence: "Confidence" };

/** Return the stage: `element`, the `mask` canvas, and what can be done with it. */
function createStage() {
  const image = make("canvas", { class: "layer image", role: "img" });
  const mask = make("canvas", { class: "layer mask", role: "img" });
  const other = make("canvas", { class: "layer other", role: "img", hidden: "" });
  const canvases = [image, mask, other];
  const after = make("div", { class: "after" }, mask, other);
  const tag = make("span", { class: "tag right" }, TAGS.mask);
  const handle = make(
    "div",
    {
      class: "divider",
      role: "slider",
      tabindex: 0,
      "aria-label": "Divider between image and mask",
      "aria-orientation": "horizontal",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    },
    make("span", { class: "knob", "aria-hidden": "true" })
  );
  const area = make(
    "div",
    {
      class: "area",
      tabindex: 0,
      role: "group",
      "aria-label": "Image and mask: plus and minus zoom, arrow keys move",
    },
    image,
    after,
    make("span", { class: "tag left" }, "Image"),
    tag,
    handle
  );
  const level = make("output", { class: "level", "aria-label": "Zoom" });
  const tools = make(
    "div",
    { class: "tools" },
    button("−", "Zoom out", () => zoomBy(1 / 1.5)),
    level,
    button("+", "Zoom in", () => zoomBy(1.5)),
    button("Fit", "Fit the whole picture", () => zoomTo(1))
  );
  const caption = make("p", { class: "caption" });
  const note = make("p", { class: "note" });
  const bar = make("div", { class: "bar" }, make("div", { class: "words" }, caption, note), tools);
  const element = make("div", { class: "stage" }, area, bar);
  const state = { divider: 50, zoom: 1, x: 0, y: 0 };
  const observer = new ResizeObserver(place);
  observer.observe(area);
  wire();
  place();
  const close = () => observer.disconnect();
  return { element, mask, caption, note, load, showLayer, setOpacity, close };

  function button(text, title, action) {
    const attributes = { type: "button", class: "button", title, "aria-label": title };
    const result = make("button", attributes, text);
    result.onclick = action;
    return result;
  }

  function load(pixels, alt) {
    for (const canvas of canvases) {
      canvas.width = pixels.width;
      canvas.height = pixels.height;
    }
    other.pixels = null;
    image.getContext("2d").putImageData(pixels, 0, 0);
    image.setAttribute("aria-label", alt.image);
    mask.setAttribute("aria-label", alt.mask);
    area.style.setProperty("--ratio", pixels.width / pixels.height);
    Object.assign(state, { zoom: 1, x: 0, y: 0 });
    place();
  }

  /** Show pixels in place of the mask, or the mask again where there are none. */
  function showLayer(pixels, name, alt) {
    mask.hidden = Boolean(pixels);
    other.hidden = !pixels;
    tag.textContent = pixels ? TAGS[name] : TAGS.mask;
    if (!pixels || other.pixels === pixels) return;
    other.pixels = pixels;
    other.width = pixels.width;
    other.height = pixels.height;
    other.getContext("2d").putImageData(pixels, 0, 0);
    other.setAttribute("aria-label", alt[name]);
  }

  function setOpacity(value) {
    after.style.opacity = value;
  }

  /** Put divider, zoom and pan on the screen. */
  function place() {
    const { clientWidth: width, clientHeight: height } = area;
    state.x = Math.min(0, Math.max(width * (1 - state.zoom), state.x));
    state.y = Math.min(0, Math.max(height * (1 - state.zoom), state.y));
    const shown = image.width ? (width * state.zoom) / image.width : 1;
    for (const canvas of canvases) {
      canvas.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
      canvas.classList.toggle("blocks", shown > 2);
    }
    handle.style.left = `${state.divider}%`;
    handle.setAttribute("aria-valuenow", Math.round(state.divider));
    handle.setAttribute("aria-valuetext", `${Math.round(state.divider)} % image`);
    after.style.clipPath = `inset(0 0 0 ${state.divider}%)`;
    area.classList.toggle("zoomed", state.zoom > 1);
    level.textContent = `${Math.round(state.zoom * 100)} %`;
  }

  function moveDivider(percent) {
    state.divider = Math.min(100, Math.max(0, percent));
    place();
  }

  /** Zoom to a factor, keeping the point (x, y) of the area where it is. */
  function zoomTo(factor, x = area.clientWidth / 2, y = area.clientHeight / 2) {
    const zoom = Math.min(MAX_ZOOM, Math.max(1, factor));
    state.x = x - ((x - state.x) * zoom) / state.zoom;
    state.y = y - ((y - state.y) * zoom) / state.zoom;
    state.zoom = zoom;
    place();
  }

  function zoomBy(factor, x, y) {
    zoomTo(state.zoom * factor, x, y);
  }

  function panBy(x, y) {
    state.x += x;
    state.y += y;
    place();
  }

  function wire() {
    const pointers = new Set();
    area.onpointerdown = (event) => {
      if (event.button) return;
      area.setPointerCapture(event.pointerId);
      pointers.add(event.pointerId);
      area.dataset.drag = handle.contains(event.target) || state.zoom === 1 ? "divider" : "pan";
      if (area.dataset.drag === "divider") follow(event);
    };
    area.onpointermove = (event) => {
      if (!pointers.has(event.pointerId)) return;
      if (area.dataset.drag === "pan") panBy(event.movementX, event.movementY);
      else follow(event);
    };
    area.onpointerup = area.onpointercancel = (event) => {
      pointers.delete(event.pointerId);
      delete area.dataset.drag;
    };
    area.addEventListener("wheel", onWheel, { passive: false });
    area.onkeydown = onKey;
  }

  function follow(event) {
    const box = area.getBoundingClientRect();
    moveDivider(((event.clientX - box.left) / box.width) * 100);
  }

  /** Ctrl + wheel and the pinch of a touch pad zoom; the plain wheel scrolls the page. */
  function onWheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = area.getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
  }

  function onKey(event) {
    const divider = event.target === handle;
    const step = event.shiftKey ? 10 : 2;
    const pan = 40;
    const actions = {
      ArrowLeft: () => (divider ? moveDivider(state.divider - step) : panBy(pan, 0)),
      ArrowRight: () => (divider ? moveDivider(state.divider + step) : panBy(-pan, 0)),
      ArrowUp: () => (divider ? moveDivider(state.divider + step) : panBy(0, pan)),
      ArrowDown: () => (divider ? moveDivider(state.divider - step) : panBy(0, -pan)),
      Home: () => moveDivider(0),
      End: () => moveDivider(100),
      "+": () => zoomBy(1.5),
      "-": () => zoomBy(1 / 1.5),
      0: () => zoomTo(1),
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}
