// The picture that is painted on: its layers, the strokes, the marks over them, all
// under one transform. It knows nothing of tools.

const MOST_SCALE = 32; // px of the screen for one px of the image, at the largest zoom
const BLOCKS_SCALE = 2; // from here on the pixels of a picture are shown as they are
const RATIOS = [0.8, 2.2]; // width by height of the stage

/**
 * Return the stage.
 * @param hand what pointers do.
 * @param rested called with what is seen when the view rests.
 * @param scaled called with px of the screen for one of the image when they change.
 */
function createStage(hand, rested, scaled) {
  const pictures = make("div", { class: "pictures" });
  const masks = make("div", { class: "masks" });
  const ink = createInk();
  const outline = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.append(outline);
  lines.setAttribute("class", "lines");
  lines.setAttribute("aria-hidden", "true");
  const ring = make("div", { class: "ring", "aria-hidden": "true", hidden: "" });
  const spots = make("div", { class: "spots" });
  const waiting = make("p", { class: "waiting" }, "The picture is on its way …");
  const area = make(
    "div",
    { class: "area", tabindex: 0, role: "application", "aria-describedby": "keys" },
    pictures, masks, ink.element, lines, spots, ring, waiting
  );
  const size = { width: 1, height: 1 };
  const frame = { scale: 1, x: 0, y: 0 }; // image px to px of the area
  const layers = new Map(); // name -> {image, window}
  const asked = new Map(); // name -> id of the picture that is to be shown
  let places = [];
  let corners = []; // of a polygon that is not closed yet
  let timer = 0;
  const most = () => Math.max(1, (MOST_SCALE * size.width) / fitted().wide);
  const zoom = createZoom([area], place, { ...hand, most, buttons: [0, 1], wheelZooms: true });
  zoom.place();
  return {
    element: area, ink, zoom, frame, size, load, setLayer, setPlaces, setCorners,
    setRing, toImage, toArea, show, follow, seen, pixels, look, close,
  };

  /** Where the whole image lies in the area, in px: as large as fits. */
  function fitted() {
    const { clientWidth: width, clientHeight: height } = area;
    const scale = Math.min(width / size.width, height / size.height) || 1;
    const [wide, high] = [size.width * scale, size.height * scale];
    return { scale, wide, high, x: (width - wide) / 2, y: (height - high) / 2 };
  }

  function place(state) {
    const fit = fitted();
    const before = frame.scale;
    frame.scale = fit.scale * state.zoom;
    if (frame.scale !== before) scaled(frame.scale);
    frame.x = state.x + fit.x * state.zoom;
    frame.y = state.y + fit.y * state.zoom;
    for (const layer of layers.values()) placeLayer(layer);
    ink.place({ ...frame }, area.clientWidth, area.clientHeight);
    placeMarks();
    clearTimeout(timer);
    timer = setTimeout(() => rested(seen()), 350);
  }

  function placeLayer({ image, window: [x0, y0, x1, y1] }) {
    const [x, y] = toArea([x0, y0]);
    const wide = image.naturalWidth || 1;
    const high = image.naturalHeight || 1;
    const across = (frame.scale * (x1 - x0)) / wide;
    const down = (frame.scale * (y1 - y0)) / high;
    image.style.transform = `translate(${x}px, ${y}px) scale(${across}, ${down})`;
    image.classList.toggle("blocks", across > BLOCKS_SCALE);
  }

  function placeMarks() {
    const shown = corners.map((point) => toArea(point).join(",")).join(" ");
    outline.setAttribute("points", shown);
    for (const { at, radius, element } of places) {
      const [x, y] = toArea(at);
      element.style.transform = `translate(${x}px, ${y}px)`;
      element.style.setProperty("--radius", `${Math.max(14, radius * frame.scale)}px`);
    }
  }

  /** Begin with another image. */
  function load({ width, height }, name) {
    Object.assign(size, { width, height });
    area.setAttribute("aria-label", `${name}, to paint on`);
    const ratio = Math.min(RATIOS[1], Math.max(RATIOS[0], width / height));
    area.style.setProperty("--ratio", ratio);
    waiting.hidden = false;
    for (const name of layers.keys()) setLayer(name, null);
    setCorners([]);
    zoom.fit();
  }

  /** Show a picture over a window of the image; null takes it away. */
  async function setLayer(name, file, window, id) {
    if (asked.get(name) === id) return;
    asked.set(name, id);
    const image = make("img", { class: name, alt: "", draggable: "false" });
    if (file) {
      image.src = URL.createObjectURL(file);
      try {
        await image.decode();
      } catch {
        if (name === "overview") waiting.textContent = "The picture could not be shown. Reload the page.";
        return;
      } finally {
        URL.revokeObjectURL(image.src);
      }
    }
    if (asked.get(name) !== id) return; // a later one was quicker
    layers.get(name)?.image.remove();
    layers.delete(name);
    if (!file) return;
    layers.set(name, { image, window });
    const over = name === "overview" || name === "detail" ? pictures : masks;
    if (name === "overview") over.prepend(image);
    else over.append(image);
    if (name === "overview") waiting.hidden = true;
    placeLayer(layers.get(name));
  }

  /** Show numbered rings; `chosen` is called with the number of one that is pressed. */
  function setPlaces(found, chosen) {
    places = found.map(([x, y, radius], number) => {
      const name = `Look at suggested place ${number + 1}`;
      const badge = make("button", { type: "button", class: "badge", "aria-label": name, tabindex: -1 }, `${number + 1}`);
      badge.onclick = () => chosen(number);
      badge.onpointerdown = (event) => event.stopPropagation();
      const element = make("div", { class: "spot" }, badge);
      return { at: [x, y], radius, element };
    });
    spots.replaceChildren(...places.map(({ element }) => element));
    placeMarks();
  }

  function setCorners(points) {
    corners = points;
    placeMarks();
  }

  /** Show how large the brush is, at a place of the image; null hides it. */
  function setRing(point, width, cross) {
    ring.hidden = !point;
    if (!point) return;
    const [x, y] = toArea(point);
    const across = Math.max(3, width * frame.scale);
    ring.classList.toggle("cross", cross);
    ring.style.width = ring.style.height = `${across}px`;
    ring.style.transform = `translate(${x - across / 2}px, ${y - across / 2}px)`;
  }

  function toImage([x, y]) {
    return [(x - frame.x) / frame.scale, (y - frame.y) / frame.scale];
  }

  function toArea([x, y]) {
    return [frame.x + x * frame.scale, frame.y + y * frame.scale];
  }

  /** The part of the image that is on the screen, [x0, y0, x1, y1] in whole px. */
  function seen() {
    const [x0, y0] = toImage([0, 0]).map(Math.floor);
    const [x1, y1] = toImage([area.clientWidth, area.clientHeight]).map(Math.ceil);
    return [Math.max(0, x0), Math.max(0, y0), Math.min(size.width, x1), Math.min(size.height, y1)];
  }

  /** Go where a circle in the image fills a third of the view. */
  function show([x, y], radius) {
    const { clientWidth: width, clientHeight: height } = area;
    const fit = fitted();
    const scale = Math.min(width, height) / (6 * Math.max(1, radius));
    const level = Math.min(most(), Math.max(1, scale / fit.scale));
    const now = fit.scale * level;
    zoom.goTo({ zoom: level, x: width / 2 - x * now - fit.x * level, y: height / 2 - y * now - fit.y * level });
  }

  /** Pan until a place of the image is well on the screen. */
  function follow(point) {
    const [x, y] = toArea(point);
    const { clientWidth: width, clientHeight: height } = area;
    const [dx, dy] = [inside(x, width) - x, inside(y, height) - y];
    if (dx || dy) zoom.panBy(dx, dy);
  }

  function inside(value, length) {
    const margin = Math.min(40, length / 4);
    return Math.min(length - margin, Math.max(margin, value));
  }

  /** Return the picture as it is shown, at most `most` px wide and high. */
  function pixels(longest) {
    const { clientWidth, clientHeight } = area;
    const shrink = Math.min(1, longest / Math.max(clientWidth, clientHeight));
    const width = Math.max(1, Math.round(clientWidth * shrink));
    const height = Math.max(1, Math.round(clientHeight * shrink));
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.setTransform(frame.scale * shrink, 0, 0, frame.scale * shrink, frame.x * shrink, frame.y * shrink);
    for (const name of ["overview", "detail"]) {
      const layer = layers.get(name);
      if (!layer) continue;
      const [x0, y0, x1, y1] = layer.window;
      context.drawImage(layer.image, x0, y0, x1 - x0, y1 - y0);
    }
    return { data: context.getImageData(0, 0, width, height).data, width, height, shrink };
  }

  /** Set how the layers look. */
  function look({ strokes, mask, unsure, brightness, contrast }) {
    ink.element.style.opacity = strokes;
    area.style.setProperty("--mask", mask);
    area.classList.toggle("sure", !unsure);
    const plain = brightness === 1 && contrast === 1;
    pictures.style.filter = plain ? "" : `brightness(${brightness}) contrast(${contrast})`;
  }

  function close() {
    clearTimeout(timer);
    zoom.close();
    ink.close();
  }
}
