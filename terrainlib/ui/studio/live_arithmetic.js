// The arithmetic of terrainlib.mask.sharpen on canvas pixels.
//
// Pictures are flat RGBA arrays as a canvas gives them. A sharpened picture is
//
//     base + amount * detail        rounded and clipped to 0..255,
//
// where `detail` does not depend on the amount: 8 times the pixel minus its eight
// neighbours for the Laplacian, the pixel minus its Gaussian blur for the unsharp mask.
// So `detail` is computed once, and each move of the slider costs one multiplication a
// value. Alpha has no detail: pixels are opaque, or transparent where there is no data.

/** Index of the pixel that lies at `index` behind a mirrored border (reflect-101). */
function mirror(index, length) {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const folded = Math.abs(index) % period;
  return folded < length ? folded : period - folded;
}

/** Weights of a Gaussian of standard deviation `sigma`, cut off at 3 sigma. */
function gaussianWeights(sigma) {
  const reach = Math.ceil(3 * sigma);
  const weights = new Float64Array(2 * reach + 1);
  let total = 0;
  for (let offset = -reach; offset <= reach; offset++) {
    const weight = Math.exp(-(offset * offset) / (2 * sigma * sigma));
    weights[offset + reach] = weight;
    total += weight;
  }
  return weights.map((weight) => weight / total);
}

/** Filter along rows, then along columns, with the same symmetric weights. */
function filterBothWays(base, width, height, weights) {
  const reach = (weights.length - 1) / 2;
  const row = width * 4;
  const across = new Float32Array(base.length);
  const result = new Float32Array(base.length);
  const columns = new Int32Array(width + 2 * reach);
  for (let x = 0; x < columns.length; x++) columns[x] = mirror(x - reach, width) * 4;
  for (let start = 0; start < base.length; start += row) {
    for (let tap = 0; tap <= 2 * reach; tap++) {
      const weight = weights[tap];
      for (let x = 0, at = start; x < width; x++, at += 4) {
        const source = start + columns[x + tap];
        across[at] += weight * base[source];
        across[at + 1] += weight * base[source + 1];
        across[at + 2] += weight * base[source + 2];
      }
    }
  }
  for (let y = 0; y < height; y++) {
    const start = y * row;
    for (let tap = -reach; tap <= reach; tap++) {
      const weight = weights[tap + reach];
      const shift = (mirror(y + tap, height) - y) * row;
      for (let at = start; at < start + row; at++) {
        result[at] += weight * across[at + shift];
      }
    }
  }
  return result;
}

/** Eight times each value minus its eight neighbours. */
function laplacianDetail(base, width, height) {
  const detail = filterBothWays(base, width, height, new Float64Array([1, 1, 1]));
  for (let at = 0; at < base.length; at += 4) {
    for (let band = at; band < at + 3; band++) detail[band] = 9 * base[band] - detail[band];
    detail[at + 3] = 0;
  }
  return detail;
}

/** Each value minus its Gaussian blur. */
function unsharpDetail(base, width, height, radius) {
  const detail = filterBothWays(base, width, height, gaussianWeights(radius));
  for (let at = 0; at < base.length; at += 4) {
    for (let band = at; band < at + 3; band++) detail[band] = base[band] - detail[band];
    detail[at + 3] = 0;
  }
  return detail;
}

/** Write base + amount * detail into `out`, a Uint8ClampedArray: it rounds and clips. */
function sharpenInto(out, base, detail, amount) {
  for (let at = 0; at < out.length; at++) out[at] = base[at] + amount * detail[at];
}

/** Index of the class colour nearest to a colour; the first one of equals. */
function nearestClass(colors, red, green, blue) {
  let best = 0;
  let least = Infinity;
  for (let index = 0; index < colors.length; index++) {
    const [r, g, b] = colors[index];
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (distance < least) {
      least = distance;
      best = index;
    }
  }
  return best;
}

/**
 * Return a function that replaces every pixel of an array by its nearest class colour.
 *
 * Colour space is cut into 64 x 64 x 64 cubes. The region nearest to one class is
 * convex, so where the eight corners of a cube agree its inside agrees too, and the
 * answer is looked up; only cubes on a border between classes are searched each time.
 */
function classSnapper(colors) {
  const UNKNOWN = 0;
  const BORDER = 255;
  const cubes = new Uint8Array(64 * 64 * 64);

  function classify(cube) {
    const [r, g, b] = [(cube >> 12) * 4, ((cube >> 6) & 63) * 4, (cube & 63) * 4];
    const first = nearestClass(colors, r, g, b);
    for (let corner = 1; corner < 8; corner++) {
      const red = r + (corner & 1 ? 3 : 0);
      const green = g + (corner & 2 ? 3 : 0);
      const blue = b + (corner & 4 ? 3 : 0);
      if (nearestClass(colors, red, green, blue) !== first) return BORDER;
    }
    return first + 1;
  }

  return function snap(pixels) {
    for (let at = 0; at < pixels.length; at += 4) {
      if (pixels[at + 3] === 0) continue; // no data
      const red = pixels[at];
      const green = pixels[at + 1];
      const blue = pixels[at + 2];
      const cube = ((red >> 2) << 12) | ((green >> 2) << 6) | (blue >> 2);
      if (cubes[cube] === UNKNOWN) cubes[cube] = classify(cube);
      const found = cubes[cube];
      const color =
        colors[found === BORDER ? nearestClass(colors, red, green, blue) : found - 1];
      pixels[at] = color[0];
      pixels[at + 1] = color[1];
      pixels[at + 2] = color[2];
    }
  };
}
