// The live view of the mask studio: image and mask with a divider, and the controls.
//
// Streamlit calls the default export on mounting and again whenever `data` or the theme
// changes. Everything of one view lives in one object, found again by its parent.
// Settings go to Python when a control is let go, never while it is dragged.

const COMMIT_DELAY_MS = 200;
const IDLE_WAIT_MS = 500;
const views = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  if (!data) return undefined; // only to have the code here in time
  let view = views.get(parentElement);
  if (!view) {
    view = createView(parentElement, data);
    views.set(parentElement, view);
  }
  view.commit = (settings) => setStateValue("settings", settings);
  view.show(data);
  return () => {
    view.close();
    views.delete(parentElement);
  };
}

function createView(parent, data) {
  const settings = { ...data.settings };
  const stage = createStage();
  const controls = createControls(settings, data, changed, commitLater);
  const root = make("div", { class: "view" });
  root.append(make("div", { class: "body" }, stage.element, controls.element));
  parent.append(root);

  const picture = { id: null, base: null, detail: {}, snap: null, alt: {} };
  const layers = new Map(); // name -> {id, picture, pixels}
  let frame = 0;
  let timer = 0;
  let latest = data;
  const view = { commit: () => {}, show, close };

  function changed() {
    controls.refresh();
    stage.setOpacity(settings.opacity);
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function commitLater() {
    clearTimeout(timer);
    timer = setTimeout(() => view.commit({ ...settings }), COMMIT_DELAY_MS);
  }

  function detail() {
    const { base } = picture;
    const key = settings.method === "unsharp" ? `unsharp ${settings.radius}` : "laplacian";
    if (picture.detail.key !== key) {
      const values =
        settings.method === "unsharp"
          ? unsharpDetail(base.data, base.width, base.height, settings.radius)
          : laplacianDetail(base.data, base.width, base.height);
      picture.detail = { key, values };
    }
    return picture.detail.values;
  }

  function draw() {
    frame = 0;
    if (!picture.base) return;
    const layer = layers.get(settings.shown);
    const ready = layer?.pixels && layer.picture === picture.id;
    stage.showLayer(ready ? layer.pixels : null, settings.shown, picture.alt);
    if (!ready) drawMask();
    stage.caption.textContent = inWords(settings, ready);
    root.dataset.drawn = JSON.stringify(settings);
  }

  function drawMask() {
    const { base, drawn } = picture;
    if (settings.amount === 0) drawn.data.set(base.data);
    else sharpenInto(drawn.data, base.data, detail(), settings.amount);
    if (settings.snap) picture.snap(drawn.data);
    stage.mask.getContext("2d").putImageData(drawn, 0, 0);
  }

  /** Show what is looked at first, and then make the other layers ready. */
  async function show(data) {
    latest = data;
    const takeAll = (layers) => layers.map((layer) => take(layer, data));
    const shown = data.layers.filter((layer) => layer.name === settings.shown);
    try {
      await Promise.all([showPicture(data), ...takeAll(shown)]);
      await idle();
      if (latest !== data) return;
      if (picture.base) detail();
      await Promise.all(takeAll(data.layers));
    } catch {
      stage.note.textContent = "The picture could not be shown. Reload the page to try again.";
    }
  }

  async function showPicture(data) {
    if (picture.id === data.picture) return;
    picture.id = data.picture;
    stage.note.textContent = data.note;
    const [image, mask] = await Promise.all([pixels(data, "image"), pixels(data, "mask")]);
    if (picture.id !== data.picture) return;
    stage.load(image, data.alt);
    picture.alt = data.alt;
    picture.base = mask;
    picture.drawn = new ImageData(mask.width, mask.height);
    picture.detail = {};
    picture.snap = classSnapper(data.colors);
    changed();
  }

  /** Take a layer that is new. Who changes the class mask wants to see it. */
  async function take({ name, id }, data) {
    const before = layers.get(name);
    if (before?.id === id) return;
    const layer = { id, picture: data.picture, pixels: null };
    layers.set(name, layer);
    layer.pixels = await pixels(data, name);
    if (layers.get(name) !== layer) return;
    if (name === "classes" && before?.picture === data.picture && settings.shown !== name) {
      settings.shown = name;
      commitLater();
    }
    changed();
  }

  function close() {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    stage.close();
    root.remove();
  }

  return view;
}

/** Say what is shown, such as `Mask over the image, sharpened by 1.0`. */
function inWords({ shown, amount, method, radius, snap }, layer) {
  if (layer) return `${LAYER_LABELS[shown]} over the image`;
  const by = amount.toFixed(2).replace(/0$/, "");
  const how = method === "unsharp" ? ` (unsharp mask of ${radius.toFixed(1)} px)` : "";
  const parts = ["Mask over the image"];
  if (amount > 0) parts.push(`sharpened by ${by}${how}`);
  if (snap) parts.push("snapped to classes");
  return parts.join(", ");
}

/** Wait until the page has drawn and has nothing more to do, or half a second. */
function idle() {
  return new Promise((resume) => {
    if (window.requestIdleCallback) requestIdleCallback(resume, { timeout: IDLE_WAIT_MS });
    else setTimeout(resume, IDLE_WAIT_MS);
  });
}

/** Decode one of the files, the rows of an Arrow table, into exactly its pixels. */
async function pixels(data, name) {
  const blob = fileOf(data, name);
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
