// Pure geometry of painting: fewer points for a line, and areas of one colour as
// polygons. Points are [x, y].

/** Distance of a point from the segment between two others, squared. */
function squaredDistance([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const at = length ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length)) : 0;
  return (x - x0 - at * dx) ** 2 + (y - y0 - at * dy) ** 2;
}

/** Leave out points that are nearer than `tolerance` to the line without them. */
function simplifyLine(points, tolerance) {
  const kept = new Uint8Array(points.length);
  const open = [[0, points.length - 1]];
  kept[0] = kept[points.length - 1] = 1;
  while (open.length) {
    const [from, to] = open.pop();
    let most = tolerance * tolerance;
    let furthest = -1;
    for (let at = from + 1; at < to; at++) {
      const distance = squaredDistance(points[at], points[from], points[to]);
      if (distance > most) [most, furthest] = [distance, at];
    }
    if (furthest < 0) continue;
    kept[furthest] = 1;
    open.push([from, furthest], [furthest, to]);
  }
  return points.filter((_, at) => kept[at]);
}

/** The same for a ring, which is cut where it is furthest from its first point. */
function simplifyRing(ring, tolerance) {
  const [x0, y0] = ring[0];
  const away = ring.map(([x, y]) => (x - x0) ** 2 + (y - y0) ** 2);
  const half = away.indexOf(Math.max(...away));
  const one = simplifyLine(ring.slice(0, half + 1), tolerance);
  const other = simplifyLine([...ring.slice(half), ring[0]], tolerance);
  return [...one.slice(0, -1), ...other.slice(0, -1)];
}

/** Simplify as little as is needed to have at most `most` points. */
function simplifyTo(simplify, points, tolerance, most) {
  let result = simplify(points, tolerance);
  for (let more = tolerance; result.length > most; ) {
    more *= 1.5;
    result = simplify(points, more);
  }
  return result;
}

/**
 * Return where the colour is that of a place, as far as one can go from there: a
 * Uint8Array of 1 and 0.
 *
 * @param data RGBA values of width x height pixels.
 * @param tolerance How far each of red, green and blue may be off, 0 to 255. A pixel
 *   counts with its neighbours, so that noise does not stop the fill.
 */
function floodFill(data, width, height, x, y, tolerance) {
  const soft = blurred(data, width, height);
  const seed = 3 * (y * width + x);
  const [red, green, blue] = soft.slice(seed, seed + 3);
  const found = new Uint8Array(width * height);
  const alike = (at) =>
    data[4 * at + 3] > 0 &&
    Math.abs(soft[3 * at] - red) <= tolerance &&
    Math.abs(soft[3 * at + 1] - green) <= tolerance &&
    Math.abs(soft[3 * at + 2] - blue) <= tolerance;
  spread(found, width, height, y * width + x, alike);
  return found;
}

/** Mark what `takes` says, from a pixel on to its four neighbours; return the pixels. */
function spread(marks, width, height, first, takes) {
  const found = [];
  function visit(at) {
    if (marks[at] || !takes(at)) return;
    marks[at] = 1;
    found.push(at);
  }
  visit(first);
  for (let next = 0; next < found.length; next++) {
    const at = found[next];
    const x = at % width;
    if (x > 0) visit(at - 1);
    if (x < width - 1) visit(at + 1);
    if (at >= width) visit(at - width);
    if (at < width * (height - 1)) visit(at + width);
  }
  return found;
}

/** Mean of each pixel and its eight neighbours: RGB values, without alpha. */
function blurred(data, width, height) {
  const line = 3 * width;
  const rows = new Uint16Array(line * height);
  const result = new Uint8Array(rows.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const middle = 4 * (y * width + x);
      const left = x > 0 ? middle - 4 : middle;
      const right = x < width - 1 ? middle + 4 : middle;
      for (let band = 0; band < 3; band++) {
        rows[at++] = data[left + band] + data[middle + band] + data[right + band];
      }
    }
  }
  for (let at = 0; at < rows.length; at++) {
    const above = at >= line ? rows[at - line] : rows[at];
    const below = at + line < rows.length ? rows[at + line] : rows[at];
    result[at] = (above + rows[at] + below) / 9;
  }
  return result;
}

/**
 * Return polygons around the pixels that are 1, as points between the pixels.
 *
 * A polygon has no holes: small ones are filled, an area around a large one is cut in
 * two there. Parts of less than `least` pixels are left out.
 */
function polygonsAround(mask, width, height, { least = 16, most = 40 } = {}) {
  const waiting = partsOf(mask, width, height);
  const rings = [];
  while (waiting.length && rings.length < most) {
    const pixels = waiting.shift();
    if (pixels.length < least) continue;
    const part = new Uint8Array(mask.length);
    for (const at of pixels) part[at] = 1;
    const column = fillHoles(part, width, height, Math.max(least, pixels.length / 100));
    if (column < 0) {
      rings.push(ringAround(part, width, part.indexOf(1)));
      continue;
    }
    for (const left of [true, false]) {
      const half = part.map((one, at) => (at % width < column === left ? one : 0));
      waiting.push(...partsOf(half, width, height));
    }
  }
  return rings;
}

/** Return the connected parts as their pixels, the largest first. */
function partsOf(mask, width, height) {
  const seen = new Uint8Array(mask.length);
  const parts = [];
  for (let at = 0; at < mask.length; at++) {
    if (mask[at] && !seen[at]) parts.push(spread(seen, width, height, at, (next) => mask[next]));
  }
  return parts.sort((one, other) => other.length - one.length);
}

/** Fill small holes; return a column through a large one, or -1 where there is none. */
function fillHoles(mask, width, height, small) {
  const seen = new Uint8Array(mask.length);
  const empty = (at) => !mask[at];
  for (let x = 0; x < width; x++) {
    for (const y of [0, height - 1]) spread(seen, width, height, y * width + x, empty);
  }
  for (let y = 0; y < height; y++) {
    for (const x of [0, width - 1]) spread(seen, width, height, y * width + x, empty);
  }
  for (let at = 0; at < mask.length; at++) {
    if (mask[at] || seen[at]) continue;
    const hole = spread(seen, width, height, at, empty);
    if (hole.length > small) {
      let [from, to] = [width, 0];
      for (const place of hole) {
        from = Math.min(from, place % width);
        to = Math.max(to, place % width);
      }
      return Math.round((from + to + 1) / 2);
    }
    for (const place of hole) mask[place] = 1;
  }
  return -1;
}

/** Go around the area that begins at its uppermost, leftmost pixel, clockwise. */
function ringAround(mask, width, first) {
  const inside = (x, y) => x >= 0 && x < width && y >= 0 && mask[y * width + x] === 1;
  const steps = [[1, 0], [0, 1], [-1, 0], [0, -1]];
  const onRight = [[0, 0], [-1, 0], [-1, -1], [0, -1]]; // the pixel ahead on the right
  const onLeft = [[0, -1], [0, 0], [-1, 0], [-1, -1]];
  const start = [first % width, Math.floor(first / width)];
  const ring = [];
  let [x, y] = start;
  let way = 0;
  do {
    const at = ([dx, dy]) => inside(x + dx, y + dy);
    let turn = 0;
    if (!at(onRight[way])) turn = 1;
    else if (at(onLeft[way])) turn = 3;
    if (turn || !ring.length) ring.push([x, y]);
    way = (way + turn) % 4;
    x += steps[way][0];
    y += steps[way][1];
  } while (x !== start[0] || y !== start[1]);
  return ring;
}
