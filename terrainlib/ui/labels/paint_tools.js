// What a pointer or the keyboard does on the stage: paint, fill, pan.

const SIMPLER_PX = 0.5; // of the screen: a line may be off by as much
const MOST_POINTS = 2000; // of a stroke
const FILL_POINTS = 300; // of a filled area
const FILL_PX = 512; // longest side of the picture that the fill looks at
const CLICK_PX = 6; // a pointer that moved less was a click
const NEAR_PX = { mouse: 10, pen: 12, touch: 20 };
const KEY_STEP_PX = 12; // of the screen
const DOUBLE_MS = 450;

/**
 * Return the hand that works on a stage, which is given to it by `take`.
 *
 * @param settings {tool, className, width, tolerance}; read, never changed.
 * @param add Called with finished strokes.
 * @param say Tells people who do not see it what happened.
 */
function createTools(settings, add, say) {
  let stage = null;
  let painting = null; // {pointer, from, raw: last place} of a pointer that is down
  let keyed = false; // a line is painted by keys
  let corners = []; // of a polygon
  let latest = 0; // when the last corner was set
  let spot = null; // where the pointer is, in the image
  let keyPlace = null; // where the keys paint
  let byKeys = false; // it is shown
  let space = null; // held: "down", and "used" once something was dragged
  let frame = 0;
  const paints = () => settings.tool === "brush" || settings.tool === "eraser";
  const nameOf = () => (settings.tool === "eraser" ? null : settings.className);
  const ready = () => settings.tool === "eraser" || settings.className !== null;
  const hand = { takes, moved, left };
  return { hand, take, onKey, onKeyUp, giveUp, refresh: later };

  function take(given) {
    stage = given;
    const area = stage.element;
    area.addEventListener("pointermove", (event) => hover(event));
    area.addEventListener("pointerleave", () => hover(null));
    area.addEventListener("pointerenter", () => {
      if (document.activeElement === document.body) area.focus({ preventScroll: true });
    }); // so that number keys choose classes
    area.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
    area.addEventListener("blur", () => {
      space = null;
      later();
    });
  }

  function placeOf(event) {
    const box = stage.element.getBoundingClientRect();
    return stage.toImage([event.clientX - box.left, event.clientY - box.top]);
  }

  /** Return whether a pointer that goes down works, else it pans. */
  function takes(event) {
    stage.element.focus({ preventScroll: true });
    if (space) space = "used";
    if (event.button === 1 || space || settings.tool === "pan") return false;
    if (keyed) endKeyed();
    byKeys = false;
    const at = placeOf(event);
    painting = { from: [event.clientX, event.clientY], at, moved: false };
    if (!paints()) return true;
    if (!ready()) {
      say("Choose a class first.");
      painting = null;
      return false;
    }
    stage.ink.begin(nameOf(), settings.width);
    return true;
  }

  function moved(event) {
    if (!painting) return;
    const [x, y] = painting.from;
    painting.moved ||= Math.hypot(event.clientX - x, event.clientY - y) > CLICK_PX;
    if (!paints()) return;
    const events = event.getCoalescedEvents?.() ?? [];
    stage.ink.extend((events.length ? events : [event]).map(placeOf));
    later();
  }

  function left(event, givenUp) {
    if (!painting) return;
    const { at } = painting;
    painting = null;
    if (paints()) {
      if (givenUp) stage.ink.giveUp();
      else finish();
    } else if (!givenUp) click(at, event);
    later();
  }

  function hover(event) {
    if (keyed) return;
    spot = event && event.pointerType !== "touch" ? placeOf(event) : null;
    if (event && event.pointerType === "touch" && painting) spot = placeOf(event);
    if (spot) byKeys = false;
    later();
  }

  function later() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!stage) return;
    stage.ink.drawLive();
    const shown = spot ?? (byKeys ? cursor() : null);
    const works = settings.tool !== "pan" && !space;
    const width = paints() ? settings.width : 0;
    stage.setRing(works ? shown : null, width, !paints() || byKeys);
    stage.setCorners(corners.length && shown ? [...corners, shown] : corners);
    stage.element.dataset.tool = space ? "pan" : settings.tool;
  }

  /** Make the painted line a stroke. */
  function finish() {
    const { points, class_name: name, width_px: width } = stage.ink.finish();
    if (!points.length) return;
    const off = SIMPLER_PX / stage.frame.scale;
    put("line", [simplifyTo(simplifyLine, points, off, MOST_POINTS)], width, name);
  }

  function put(kind, shapes, width, name = nameOf()) {
    const digits = stage.frame.scale > 1 ? 2 : 1;
    const round = (value) => Number(value.toFixed(digits));
    const strokes = shapes.map((points) => ({
      id: newId(),
      kind,
      class_name: name,
      points: points.map(([x, y]) => [round(x), round(y)]),
      width_px: width,
    }));
    add(strokes);
  }

  function click(at, event) {
    if (!ready()) say("Choose a class first.");
    else if (settings.tool === "fill") fill(at);
    else corner(at, NEAR_PX[event.pointerType] ?? NEAR_PX.mouse);
  }

  /** Set a corner of the polygon; on the first one, or twice at one place, it closes. */
  function corner(at, near) {
    const away = (other) => Math.hypot(at[0] - other[0], at[1] - other[1]) * stage.frame.scale;
    const now = performance.now();
    const twice = corners.length && now - latest < DOUBLE_MS && away(corners.at(-1)) < near;
    latest = now;
    if (twice || (corners.length > 2 && away(corners[0]) < near)) shut();
    else {
      corners.push(at);
      say(`Corner ${corners.length}. Enter closes the polygon.`);
    }
  }

  function shut() {
    if (corners.length < 3) say("A polygon needs three corners.");
    else {
      put("area", [corners], 0);
      corners = [];
    }
    later();
  }

  /** Fill what has the colour of a place, as far as it is on the screen. */
  function fill(at) {
    const { data, width, height, shrink } = stage.pixels(FILL_PX);
    const [x, y] = stage.toArea(at).map((value) => Math.floor(value * shrink));
    if (x < 0 || y < 0 || x >= width || y >= height || !data[4 * (y * width + x) + 3]) return;
    const mask = floodFill(data, width, height, x, y, settings.tolerance);
    const rings = polygonsAround(mask, width, height).map((ring) => {
      const simple = simplifyTo(simplifyRing, ring, 0.8, FILL_POINTS);
      return simple.map(([px, py]) => stage.toImage([px / shrink, py / shrink]));
    });
    if (rings.length) put("area", rings, 0);
    else say("Nothing to fill here. A larger tolerance takes more.");
  }

  /** Where the keys paint: the place last used, brought onto the screen. */
  function cursor() {
    const [x0, y0, x1, y1] = stage.seen();
    const [x, y] = keyPlace ?? [(x0 + x1) / 2, (y0 + y1) / 2];
    return [Math.min(x1, Math.max(x0, x)), Math.min(y1, Math.max(y0, y))];
  }

  function move(dx, dy, fine) {
    const step = fine ? 1 : KEY_STEP_PX / stage.frame.scale;
    const [x, y] = spot ?? cursor();
    const [width, height] = [stage.size.width, stage.size.height];
    keyPlace = [Math.min(width, Math.max(0, x + dx * step)), Math.min(height, Math.max(0, y + dy * step))];
    spot = null;
    byKeys = true;
    stage.follow(keyPlace);
    if (keyed) stage.ink.extend([keyPlace]);
    later();
  }

  /** Begin or end at the keys' place what the tool does. */
  function press() {
    if (spot) keyPlace = spot;
    spot = null;
    byKeys = true;
    const at = cursor();
    if (!paints()) {
      if (settings.tool !== "pan") click(at, {});
    } else if (keyed) endKeyed();
    else if (!ready()) say("Choose a class first.");
    else {
      keyed = true;
      stage.ink.begin(nameOf(), settings.width);
      stage.ink.extend([at]);
      say("Stroke begun. Arrow keys paint, Enter ends it, Escape gives it up.");
    }
    later();
  }

  function endKeyed() {
    keyed = false;
    finish();
  }

  /** Give up what is not finished; return whether there was anything. */
  function giveUp() {
    const open = keyed || painting || corners.length;
    if (keyed || (painting && paints())) stage.ink.giveUp();
    keyed = false;
    painting = null;
    corners = [];
    later();
    return Boolean(open);
  }

  /** Do what a key stands for on the stage; return whether it stands for anything. */
  function onKey(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (arrow) move(...arrow, event.shiftKey);
    else if (event.key === " ") space ??= "down";
    else if (event.key === "Enter" && corners.length) shut();
    else if (event.key === "Enter") press();
    else if (event.key === "Escape" && giveUp()) say("Given up.");
    else if (event.key === "Backspace" && corners.length) corners.pop();
    else return false;
    later();
    return true;
  }

  /** The space bar works like Enter, unless it was held to drag with the mouse. */
  function onKeyUp(event) {
    if (event.key !== " " || !space) return;
    if (space === "down" && !spot) press();
    space = null;
    later();
  }
}

/** Return a new id; `randomUUID` is there on secure pages only. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
