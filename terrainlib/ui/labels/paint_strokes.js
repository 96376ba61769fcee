// The strokes on the screen: a canvas of the screen's size that keeps what was drawn.
//
// A stroke that is being painted is drawn a piece at a time, so that a frame costs the
// same whatever is painted already. All are drawn again when the view has moved; while
// it moves, the canvas moves with it if that would take too long.

const QUICK_MS = 6; // as long as drawing all again may take while the view moves
const REST_MS = 120;

/** Return the strokes' layer: `frame` is {scale, x, y}, image px to px of the stage. */
function createInk() {
  const element = make("canvas", { class: "ink", "aria-hidden": "true" });
  const context = element.getContext("2d");
  const shapes = new WeakMap(); // stroke -> {path, box}
  let colors = new Map();
  let strokes = [];
  let frame = { scale: 1, x: 0, y: 0 };
  let drawn = null; // the frame that all were drawn in
  let cost = 0;
  let timer = 0;
  let live = null; // the stroke that is being painted
  return { element, place, setColors, setStrokes, begin, extend, drawLive, finish, giveUp, close };

  function place(next, width, height) {
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    const resized = element.width !== wide || element.height !== high;
    if (resized) Object.assign(element, { width: wide, height: high });
    frame = next;
    clearTimeout(timer);
    if (resized || !drawn || cost < QUICK_MS) drawAll();
    else {
      const scale = frame.scale / drawn.scale;
      const [x, y] = [frame.x - drawn.x * scale, frame.y - drawn.y * scale];
      element.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      timer = setTimeout(drawAll, REST_MS);
    }
  }

  function setColors(classes) {
    const next = new Map(classes.map(({ name, color }) => [name, `rgb(${color})`]));
    if (JSON.stringify([...next]) === JSON.stringify([...colors])) return;
    colors = next;
    drawAll();
  }

  /** Show other strokes; where some only came on top, only they are drawn. */
  function setStrokes(next) {
    const more = strokes.every(({ id }, at) => next[at]?.id === id);
    const added = next.slice(strokes.length);
    strokes = next;
    if (!more || !drawn || element.style.transform) drawAll();
    else for (const stroke of added) draw(stroke);
  }

  function drawAll() {
    const began = performance.now();
    clearTimeout(timer);
    element.style.transform = "";
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, element.width, element.height);
    const ratio = element.width / Math.max(1, element.clientWidth);
    const scale = frame.scale * ratio;
    context.setTransform(scale, 0, 0, scale, frame.x * ratio, frame.y * ratio);
    const [left, top] = [-frame.x / frame.scale, -frame.y / frame.scale];
    const right = left + element.width / scale;
    const bottom = top + element.height / scale;
    for (const stroke of strokes) {
      const [x0, y0, x1, y1] = shapeOf(stroke).box;
      if (x1 >= left && x0 <= right && y1 >= top && y0 <= bottom) draw(stroke);
    }
    if (live) drawLive(0);
    drawn = frame;
    cost = performance.now() - began;
  }

  function style({ class_name: name, width_px: width }) {
    const color = name === null ? "#000" : colors.get(name);
    context.globalCompositeOperation = name === null ? "destination-out" : "source-over";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = width;
    context.fillStyle = context.strokeStyle = color ?? "transparent";
  }

  function draw(stroke) {
    style(stroke);
    if (stroke.kind === "area") context.fill(shapeOf(stroke).path, "evenodd");
    else context.stroke(shapeOf(stroke).path);
  }

  function shapeOf(stroke) {
    let shape = shapes.get(stroke);
    if (!shape) {
      shape = { path: pathOf(stroke), box: boxAround(stroke.points, stroke.width_px / 2) };
      shapes.set(stroke, shape);
    }
    return shape;
  }

  /** Begin to paint a line; its points come by `extend`. */
  function begin(className, width) {
    if (element.style.transform) drawAll();
    live = { class_name: className, width_px: width, points: [], shown: 0 };
  }

  function extend(points) {
    live.points.push(...points);
  }

  /** Draw what came since the last frame. */
  function drawLive(from = live?.shown) {
    if (!live?.points.length) return;
    const { points } = live;
    style(live);
    context.beginPath();
    context.moveTo(...points[Math.max(0, from - 1)]);
    for (const point of points.slice(from)) context.lineTo(...point);
    context.stroke();
    live.shown = points.length;
  }

  /** The line is painted, and comes back as one of the strokes. */
  function finish() {
    drawLive();
    const line = live;
    live = null;
    return line;
  }

  function giveUp() {
    live = null;
    drawAll();
  }

  function close() {
    clearTimeout(timer);
  }
}

function pathOf({ kind, points }) {
  const path = new Path2D();
  path.moveTo(...points[0]);
  for (const point of points) path.lineTo(...point); // a dot is a line to itself
  if (kind === "area") path.closePath();
  return path;
}

/** Return [left, top, right, bottom] around points and a margin. */
function boxAround(points, margin) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    box[0] = Math.min(box[0], x - margin);
    box[1] = Math.min(box[1], y - margin);
    box[2] = Math.max(box[2], x + margin);
    box[3] = Math.max(box[3], y + margin);
  }
  return box;
}
