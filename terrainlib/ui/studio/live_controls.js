// The controls beside the picture of the live view.

const LAYER_LABELS = { classes: "Classes", confidence: "Confidence" };
const METHODS = {
  laplacian: "Lifts each pixel away from its eight neighbours.",
  unsharp: "Lifts each pixel away from a blurred copy; the radius is how far it blurs.",
};

/**
 * The controls beside the picture. They change `settings` in place, then call `changed`,
 * and `released` when a control is let go.
 */
function createControls(settings, data, changed, released) {
  const { defaults, limits } = data;
  const amount = slider("amount", "Sharpening", 0.05, (value) => value.toFixed(2));
  const radius = slider("radius", "Radius", 0.1, (value) => `${value.toFixed(1)} px`);
  const opacity = slider("opacity", "Opacity of the mask", 0.05, (value) => `${Math.round(value * 100)} %`);
  amount.element.classList.add("main");

  const shown = choice("shown", "Over the image", [
    ["mask", "Mask"],
    ...data.layers.map(({ name }) => [name, LAYER_LABELS[name]]),
  ]);
  shown.element.hidden = !data.layers.length;
  const method = choice("method", "Method", [
    ["laplacian", "Laplacian 3 × 3"],
    ["unsharp", "Unsharp mask"],
  ]);
  const about = make("p", { class: "note" });
  method.element.append(about);

  const snap = make("input", { type: "checkbox" });
  snap.onchange = () => {
    settings.snap = snap.checked;
    changed();
    released();
  };
  const snapLabel = make("label", { class: "check" }, snap, make("span", {}, "Snap to classes"));
  const snapHelp = make("p", { class: "note" }, "Every pixel takes the nearest class colour.");
  const snapping = make("div", {}, snapLabel, snapHelp);
  const legend = confidenceLegend(data.confidence);
  const hint = make("p", { class: "note" }, "The most probable class of every pixel, cleaned as set.");

  const reset = make("button", { type: "button", class: "button" }, "Reset");
  reset.onclick = () => {
    Object.assign(settings, defaults, { shown: settings.shown });
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

  function choice(name, title, options) {
    const inputs = options.map(([value]) => make("input", { type: "radio", name, value }));
    const labels = options.map(([, label], at) =>
      make("label", { class: "choice" }, inputs[at], make("span", {}, label))
    );
    for (const input of inputs) {
      input.onchange = () => {
        settings[name] = input.value;
        changed();
        released();
      };
    }
    const element = make(
      "fieldset",
      {},
      make("legend", {}, title),
      make("div", { class: "choices" }, ...labels)
    );
    function refresh() {
      for (const input of inputs) input.checked = input.value === settings[name];
    }
    return { element, refresh };
  }

  function refresh() {
    for (const item of [amount, radius, opacity, method, shown]) item.refresh();
    snap.checked = settings.snap;
    const layer = data.layers.some(({ name }) => name === settings.shown);
    for (const element of [amount.element, method.element, snapping]) element.hidden = layer;
    about.textContent = METHODS[settings.method];
    radius.element.hidden = layer || settings.method !== "unsharp";
    legend.hidden = !layer || settings.shown !== "confidence";
    hint.hidden = !layer || settings.shown !== "classes";
  }

  const element = make(
    "div",
    { class: "controls", role: "group", "aria-label": "Sharpening and display" },
    amount.element,
    shown.element,
    method.element,
    radius.element,
    snapping,
    hint,
    legend,
    opacity.element,
    reset
  );
  refresh();
  return { element, refresh };
}

/** What the colours of the confidence say. */
function confidenceLegend({ unsure, sure, percent }) {
  const rows = [
    [unsure, `Unsure: the best two classes are less than ${percent} % apart`],
    [sure, "Sure: the lighter, the further apart"],
  ];
  return make(
    "div",
    { class: "confidence" },
    ...rows.map(([[from, to], text]) => {
      const swatch = make("span", { class: "ramp", "aria-hidden": "true" });
      swatch.style.background = `linear-gradient(to right, rgb(${from}), rgb(${to}))`;
      return make("div", {}, swatch, make("span", {}, text));
    })
  );
}
