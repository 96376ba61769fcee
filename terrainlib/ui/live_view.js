// The live view of the mask studio: image and mask with a divider, and the controls.
//
// Streamlit calls the default export on mounting and again whenever `data` or the theme
// changes. Everything of one view lives in one object, found again by its parent.
// Settings go to Python when a control is let go, never while it is dragged.

const COMMIT_DELAY_MS = 200;
const MAX_ZOOM = 16;
const views = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
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

/** Make an element: `make("p", {class: "note"}, "text", child)`. Text is never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function createView(parent, { settings: initial, defaults, limits }) {
  const settings = { ...initial };
  const stage = createStage();
  const controls = createControls(settings, { defaults, limits }, changed, commitLater);
  const root = make("div", { class: "view" });
  root.append(make("div", { class: "body" }, stage.element, controls.element));
  parent.append(root);

  const picture = { id: null, base: null, detail: {}, snap: null };
  let frame = 0;
  let timer = 0;
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
    const { base, drawn } = picture;
    sharpenInto(drawn.data, base.data, detail(), settings.amount);
    if (settings.snap) picture.snap(drawn.data);
    stage.mask.getContext("2d").putImageData(drawn, 0, 0);
    root.dataset.drawn = JSON.stringify(settings);
  }

  async function show(data) {
    if (picture.id === data.picture) return;
    picture.id = data.picture;
    stage.note.textContent = data.note;
    try {
      const [image, mask] = await Promise.all([pixels(data.image), pixels(data.mask)]);
      if (picture.id !== data.picture) return;
      stage.load(image, data.alt);
      picture.base = mask;
      picture.drawn = new ImageData(mask.width, mask.height);
      picture.detail = {};
      picture.snap = classSnapper(data.colors);
      changed();
    } catch {
      stage.note.textContent = "The picture could not be shown. Reload the page to try again.";
    }
  }

  function close() {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    stage.close();
    root.remove();
  }

  return view;
}

/** Decode a data URL into exactly the pixels of the file. */
async function pixels(url) {
  const [head, body] = url.split(",");
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  const blob = new Blob([bytes], { type: head.slice(5, head.indexOf(";")) });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/**
 * The controls beside the picture. They change `settings` in place, then call `changed`,
 * and `released` when a control is let go.
 */
function createControls(settings, { defaults, limits }, changed, released) {
  const amount = slider("amount", "Sharpening", 0.05, (value) => value.toFixed(2));
  const radius = slider("radius", "Radius", 0.1, (value) => `${value.toFixed(1)} px`);
  const opacity = slider("opacity", "Opacity of the mask", 0.05, (value) => `${Math.round(value * 100)} %`);
  amount.element.classList.add("main");

  const methods = [
    ["laplacian", "Laplacian 3 × 3"],
    ["unsharp", "Unsharp mask"],
  ].map(([value, label]) => {
    const input = make("input", { type: "radio", name: "method", value });
    input.onchange = () => {
      settings.method = value;
      changed();
      released();
    };
    const element = make("label", { class: "choice" }, input, make("span", {}, label));
    return { input, element };
  });
  const method = make(
    "fieldset",
    {},
    make("legend", {}, "Method"),
    make("div", { class: "choices" }, ...methods.map((item) => item.element))
  );

  const snap = make("input", { type: "checkbox" });
  snap.onchange = () => {
    settings.snap = snap.checked;
    changed();
    released();
  };
  const snapLabel = make("label", { class: "check" }, snap, make("span", {}, "Snap to classes"));
  const snapHelp = make("p", { class: "note" }, "Every pixel takes the nearest class colour.");

  const reset = make("button", { type: "button", class: "button" }, "Reset");
  reset.onclick = () => {
    Object.assign(settings, defaults);
    changed();
    released();
  };

  function slider(name, label, step, text) {
    const [low, high] = limits[name];
    const input = make("input", { type: "range", id: name, min: low, max: high, step });
    const output = make("output", { for: name });
    input.oninput = () => {
      settings[name] = Number(input.value);
      changed();
    };
    input.onchange = released;
    const element = make(
      "div",
      { class: "slider" },
      make("label", { for: name }, label),
      output,
      input
    );
    function refresh() {
      if (Number(input.value) !== settings[name]) input.value = settings[name];
      output.textContent = text(settings[name]);
      input.setAttribute("aria-valuetext", output.textContent);
    }
    return { element, refresh };
  }

  function refresh() {
    for (const item of [amount, radius, opacity]) item.refresh();
    for (const { input } of methods) input.checked = input.value === settings.method;
    radius.element.hidden = settings.method !== "unsharp";
    snap.checked = settings.snap;
  }

  const element = make(
    "div",
    { class: "controls", role: "group", "aria-label": "Sharpening and display" },
    amount.element,
    method,
    radius.element,
    make("div", {}, snapLabel, snapHelp),
    opacity.element,
    reset
  );
  refresh();
  return { element, refresh };
}
