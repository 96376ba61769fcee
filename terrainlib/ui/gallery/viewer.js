// The gallery's pictures: cards to press, and the image that is open, with all that is
// known of it side by side under one zoom.
//
// Streamlit calls the default export on mounting and again whenever `data` changes; an
// unchanged `id` means unchanged cards. Pictures of the images before and after the open
// one are there already, so that turning to them waits for nothing.

const views = new WeakMap();

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  let view = views.get(parentElement);
  if (!view) {
    view = data.cards ? createCards(parentElement) : createViewer(parentElement);
    views.set(parentElement, view);
  }
  view.open = (id) => setTriggerValue("open", id);
  view.studio = (id) => setTriggerValue("studio", id);
  view.report = (at) => setStateValue("at", at);
  view.show(data);
  return () => {
    view.close();
    views.delete(parentElement);
  };
}

/** Return the address of one of the files, to be shown by an `img`. */
const addressOf = (data, name) => URL.createObjectURL(fileOf(data, name));

function createCards(parent) {
  const grid = make("div", { class: "cards", role: "list" });
  const root = make("div", { class: "view" }, grid);
  parent.append(root);
  let shown = null;
  const view = { show, close: () => root.remove() };

  function show(data) {
    if (shown === data.id) return;
    shown = data.id;
    grid.replaceChildren(...data.cards.map((card) => cardOf(card, data)));
  }

  function cardOf({ id, title, note, label, pictures }, data) {
    const images = pictures.map((name) => {
      const image = make("img", { alt: "", class: name.endsWith("image") ? "" : "blocks" });
      image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
      image.src = addressOf(data, name);
      return image;
    });
    const pair = make("span", { class: "pair" }, ...images);
    const words = make("span", { class: "words" }, make("b", {}, title), make("span", {}, note));
    const card = make("button", { type: "button", class: "card", "aria-label": label }, pair, words);
    card.onclick = () => view.open(id);
    return make("div", { role: "listitem" }, card);
  }

  return view;
}

function createViewer(parent) {
  const title = make("h2", {});
  const note = make("p", { class: "note" });
  const panels = make("div", { class: "panels" });
  const before = button("‹", "Previous image", () => turn(-1));
  const after = button("›", "Next image", () => turn(1));
  const studio = button("Sharpen", "Sharpen in the studio", () => view.studio(at));
  const closing = button("✕", "Close", () => dialog.close());
  const head = make("div", { class: "head" }, title, before, after, studio, closing);
  const foot = make("div", { class: "foot" }, note);
  const dialog = make("dialog", { class: "view", tabindex: -1, "aria-label": "Image" }, head, panels, foot);
  parent.append(dialog);
  const known = new Map(); // id -> {title, note, ratio, pictures: [{label, alt, address}]}
  const view = { show, close };
  let ids = [];
  let at = null; // the id of what is open
  let drawn = null;
  let reports = null; // how often it was said where it stands; null before it is known
  let zoom = null;
  dialog.onclose = () => {
    if (at !== null) go(null);
  };
  dialog.onkeydown = (event) => {
    const turns = { ArrowLeft: () => turn(-1), ArrowRight: () => turn(1) };
    zoom?.onKey(event, turns);
  };
  const observer = new ResizeObserver(arrange);
  observer.observe(dialog);

  function show(data) {
    ids = data.ids;
    for (const one of data.shown) if (!known.has(one.id)) known.set(one.id, taken(one, data));
    for (const id of known.keys()) {
      if (id !== at && !data.shown.some((one) => one.id === id)) forget(id);
    }
    const late = reports !== null && data.reports !== null && data.reports !== reports;
    if (!late) at = data.at; // else it is the answer to what was said before
    reports ??= data.reports ?? 0;
    draw();
  }

  function taken(one, data) {
    const pictures = one.pictures.map((picture) => ({
      ...picture,
      address: addressOf(data, `${one.id}\n${picture.name}`),
    }));
    return { ...one, pictures };
  }

  function forget(id) {
    for (const { address } of known.get(id).pictures) URL.revokeObjectURL(address);
    known.delete(id);
  }

  function turn(step) {
    const next = ids[ids.indexOf(at) + step];
    if (next !== undefined) go(next);
  }

  function go(id) {
    at = id;
    reports += 1;
    view.report({ id, reports });
    draw();
  }

  function draw() {
    if (at === null) {
      drawn = null;
      if (dialog.open) dialog.close();
      return;
    }
    if (!dialog.open) {
      dialog.showModal();
      dialog.focus();
    }
    const position = ids.indexOf(at);
    before.disabled = position <= 0;
    after.disabled = position === ids.length - 1;
    const one = known.get(at);
    panels.classList.toggle("waiting", !one);
    title.textContent = `${at}  ·  ${position + 1} of ${ids.length}`;
    if (!one || drawn === one) return;
    drawn = one;
    note.textContent = one.note;
    fill(one);
  }

  function fill(one) {
    const layers = one.pictures.map(({ address, alt, name }) =>
      make("img", { class: `layer ${name}`, src: address, alt, draggable: "false" })
    );
    const areas = one.pictures.map(({ label }, number) =>
      make("div", { class: "area" }, layers[number], make("span", { class: "tag" }, label))
    );
    zoom?.close();
    panels.style.setProperty("--ratio", one.ratio);
    panels.replaceChildren(...areas);
    arrange();
    zoom = createZoom(areas, (state) => {
      const blocks = (areas[0].clientWidth * state.zoom) / layers[0].naturalWidth > 2;
      for (const layer of layers) {
        layer.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
        layer.classList.toggle("blocks", blocks || !layer.classList.contains("image"));
      }
    });
    foot.replaceChildren(note, zoom.tools);
    zoom.place();
  }

  /** Give the panels the number of columns that makes them largest. */
  function arrange() {
    if (!drawn || !dialog.open) return;
    const count = drawn.pictures.length;
    const gap = 8;
    const high = dialog.clientHeight - head.offsetHeight - foot.offsetHeight - 48;
    const widths = drawn.pictures.map((_, number) => {
      const rows = Math.ceil(count / (number + 1));
      const wide = (panels.clientWidth - gap * number) / (number + 1);
      return Math.floor(Math.min(wide, (high / rows - gap) * drawn.ratio));
    });
    const best = Math.max(...widths);
    const columns = widths.indexOf(best) + 1;
    panels.style.gridTemplateColumns = `repeat(${columns}, ${Math.max(best, 96)}px)`;
  }

  function close() {
    for (const id of known.keys()) forget(id);
    zoom?.close();
    observer.disconnect();
    dialog.remove();
  }

  return view;
}
