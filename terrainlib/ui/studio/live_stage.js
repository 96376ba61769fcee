// The picture area of the live view: the image and what lies over it, and the divider
// between them. It knows nothing of sharpening.

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
  const caption = make("p", { class: "caption" });
  const note = make("p", { class: "note" });
  let divider = 50;
  const zoom = createZoom([area], place, { takes, moved: follow });
  const bar = make("div", { class: "bar" }, make("div", { class: "words" }, caption, note), zoom.tools);
  const element = make("div", { class: "stage" }, area, bar);
  area.onkeydown = onKey;
  zoom.place();
  return { element, mask, caption, note, load, showLayer, setOpacity, close: zoom.close };

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
    zoom.fit();
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
  function place(state) {
    const shown = image.width ? (area.clientWidth * state.zoom) / image.width : 1;
    for (const canvas of canvases) {
      canvas.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
      canvas.classList.toggle("blocks", shown > 2);
    }
    handle.style.left = `${divider}%`;
    handle.setAttribute("aria-valuenow", Math.round(divider));
    handle.setAttribute("aria-valuetext", `${Math.round(divider)} % image`);
    after.style.clipPath = `inset(0 0 0 ${divider}%)`;
  }

  function moveDivider(percent) {
    divider = Math.min(100, Math.max(0, percent));
    zoom.place();
  }

  /** Return whether a pointer that goes down moves the divider. */
  function takes(event) {
    return handle.contains(event.target) || zoom.state.zoom === 1;
  }

  function follow(event) {
    const box = area.getBoundingClientRect();
    moveDivider(((event.clientX - box.left) / box.width) * 100);
  }

  function onKey(event) {
    const step = event.shiftKey ? 10 : 2;
    const less = () => moveDivider(divider - step);
    const more = () => moveDivider(divider + step);
    const onHandle = { ArrowLeft: less, ArrowRight: more, ArrowUp: more, ArrowDown: less };
    const ends = { Home: () => moveDivider(0), End: () => moveDivider(100) };
    zoom.onKey(event, event.target === handle ? { ...ends, ...onHandle } : ends);
  }
}
