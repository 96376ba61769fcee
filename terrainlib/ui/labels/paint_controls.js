// The tools, the classes and the look of the view.

const TOOLS = [
  ["brush", "Brush", "brush", "b"],
  ["polygon", "Polygon", "polyline", "p"],
  ["fill", "Fill", "format_color_fill", "f"],
  ["eraser", "Eraser", "ink_eraser", "e"],
  ["pan", "Move", "pan_tool", "h"],
];
const SMALLEST_PX = 1;
const WIDTH_STEPS = 60; // of the slider, each by the same factor

/** An icon of the font that Streamlit brings along. */
const icon = (name) => make("span", { class: "icon", "aria-hidden": "true" }, name);

/**
 * Return the controls: `tools` go above the picture, `look` below it. They change
 * `settings` in place, then call `changed`; `act` has undo, redo and clear.
 */
function createControls(settings, changed, act) {
  const kinds = TOOLS.map(([value, name, sign, key]) =>
    radio("tool", value, `${name} (${key.toUpperCase()})`, icon(sign), make("span", { class: "word" }, name))
  );
  const tool = group("Tool", "kinds", kinds);
  const classes = group("Class", "classes", []);
  const width = widthSlider();
  const tolerance = slider("tolerance", "Tolerance", 1, 80, 1, (value) => `${value}`);
  const undo = iconButton("undo", "Undo (Ctrl+Z)", act.undo);
  const redo = iconButton("redo", "Redo (Ctrl+Shift+Z)", act.redo);
  const clear = iconButton("delete", "Take all strokes away", act.clear);
  const history = make("div", { class: "history" }, undo, redo, clear);
  const tools = make("div", { class: "controls" }, tool, width.element, tolerance.element, history, classes);
  const sliders = [
    slider("strokes", "Strokes", 0, 1, 0.05, percent),
    slider("mask", "Mask", 0, 1, 0.05, percent),
    slider("brightness", "Brightness", 0.4, 2.5, 0.05, percent),
    slider("contrast", "Contrast", 0.4, 2.5, 0.05, percent),
  ];
  const unsure = make("input", { type: "checkbox" });
  unsure.onchange = () => change({ unsure: unsure.checked });
  const unsureLabel = make("label", { class: "check" }, unsure, make("span", {}, "Show where the mask is unsure"));
  const look = make(
    "details",
    { class: "look" },
    make("summary", {}, "View: opacity, brightness, contrast"),
    make("div", { class: "sliders" }, ...sliders.map(({ element }) => element), unsureLabel)
  );
  let known = "";
  let largest = 512;
  return { tools, look, refresh, setClasses, setLargest, onKey };

  function change(values) {
    Object.assign(settings, values);
    refresh();
    changed();
  }

  function radio(name, value, title, ...children) {
    const input = make("input", { type: "radio", name, value });
    input.onchange = () => change({ [name]: value });
    const label = make("label", { class: "choice", title }, input, make("span", { class: "face" }, ...children));
    label.input = input;
    return label;
  }

  function group(title, kind, labels) {
    return make("fieldset", { class: kind }, make("legend", { class: "unseen" }, title), ...labels);
  }

  function iconButton(sign, title, action) {
    const element = button("", title, action);
    element.append(icon(sign));
    return element;
  }

  function slider(name, label, low, high, step, text) {
    const input = make("input", { type: "range", id: name, min: low, max: high, step });
    const output = make("output", { for: name });
    input.oninput = () => change({ [name]: Number(input.value) });
    const element = make("div", { class: "slider" }, make("label", { for: name }, label), output, input);
    function refresh() {
      if (Number(input.value) !== settings[name]) input.value = settings[name];
      output.textContent = text(settings[name]);
      input.setAttribute("aria-valuetext", output.textContent);
    }
    return { element, refresh };
  }

  /** The width of the brush: fine steps where it is thin. */
  function widthSlider() {
    const made = slider("width", "Width", 0, WIDTH_STEPS, 1, (value) => `${value} px`);
    const input = made.element.querySelector("input");
    const factor = () => Math.log(largest / SMALLEST_PX) / WIDTH_STEPS;
    input.oninput = () => {
      change({ width: Math.max(SMALLEST_PX, Math.round(SMALLEST_PX * Math.exp(input.value * factor()))) });
    };
    function refresh() {
      made.refresh();
      input.value = Math.log(settings.width / SMALLEST_PX) / factor();
    }
    return { element: made.element, refresh };
  }

  function refresh() {
    for (const one of [width, tolerance, ...sliders]) one.refresh();
    for (const label of tools.querySelectorAll(".choice")) {
      const wanted = label.input.name === "tool" ? settings.tool : settings.className;
      label.input.checked = label.input.value === wanted;
    }
    unsure.checked = settings.unsure;
    tolerance.element.hidden = settings.tool !== "fill";
    width.element.hidden = settings.tool !== "brush" && settings.tool !== "eraser";
    undo.disabled = !act.canUndo();
    redo.disabled = !act.canRedo();
    clear.disabled = !act.canClear();
  }

  function setClasses(items) {
    const told = JSON.stringify(items);
    if (told === known) return;
    known = told;
    const labels = items.map(({ name, color }, at) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = `rgb(${color})`;
      const key = at < 9 ? `${at + 1}` : "";
      const sign = make("kbd", { "aria-hidden": "true" }, key);
      return radio("className", name, key && `Key ${key}`, swatch, make("span", { class: "word" }, name), ...(key ? [sign] : []));
    });
    classes.replaceChildren(classes.firstChild, ...labels);
    if (!items.some(({ name }) => name === settings.className)) settings.className = items[0]?.name ?? null;
    refresh();
  }

  /** Set the largest width of the brush, in px of the image. */
  function setLargest(px) {
    largest = px;
    refresh();
  }

  /** Do what a key stands for; return whether it stands for anything. */
  function onKey(key) {
    const found = TOOLS.find((one) => one[3] === key.toLowerCase());
    const number = /^[1-9]$/.test(key) ? classes.querySelectorAll(".choice")[key - 1] : null;
    const wider = Math.max(settings.width + 1, Math.round(settings.width * 1.2));
    const thinner = Math.min(settings.width - 1, Math.round(settings.width / 1.2));
    if (found) change({ tool: found[0] });
    else if (number) change({ className: number.input.value, ...(settings.tool === "eraser" ? { tool: "brush" } : {}) });
    else if (key === "]") change({ width: Math.min(largest, wider) });
    else if (key === "[") change({ width: Math.max(SMALLEST_PX, thinner) });
    else return false;
    return true;
  }
}

function percent(value) {
  return `${Math.round(value * 100)} %`;
}
