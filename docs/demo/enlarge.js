// The passes of the network, in tiles: src/prosr_lightning/imaging/tiling.py and upscale/chain.py. A tile is enlarged
// with its real surroundings as far as the network sees, which are cropped from the result, so that tiles equal the
// whole; at the border of the picture there are none, and the network pads there as it would have padded the whole.

export const TILE = 384; // pixels of the input; its features take some 20 MB

/** The size of the first of equal parts of `length`, none longer than `side`. */
const share = (length, side) => Math.ceil(length / Math.ceil(length / side));

export function tilesOf(width, height) {
  const tiles = [];
  for (let top = 0, bottom; top < height; top = bottom) {
    bottom = top + share(height - top, TILE);
    for (let left = 0, right; left < width; left = right) {
      right = left + share(width - left, TILE);
      tiles.push({ top, bottom, left, right });
    }
  }
  return tiles;
}

/** Enlarge the bands of one plane by 2; yields [first row of the result, Float32Array of whole rows]. */
export async function* enlargedBands(step, plane, width, height, radius, onPixels) {
  let band = null;
  for (const { top, bottom, left, right } of tilesOf(width, height)) {
    band ??= new Float32Array(2 * (bottom - top) * 2 * width);
    const first = Math.max(top - radius, 0), last = Math.min(bottom + radius, height);
    const begin = Math.max(left - radius, 0), end = Math.min(right + radius, width);
    const input = new Float32Array((last - first) * (end - begin));
    for (let row = first; row < last; row++) {
      input.set(plane.subarray(row * width + begin, row * width + end), (row - first) * (end - begin));
    }
    const output = await step(input, last - first, end - begin);
    for (let row = 2 * top; row < 2 * bottom; row++) {
      const from = (row - 2 * first) * 2 * (end - begin) + 2 * (left - begin);
      band.set(output.subarray(from, from + 2 * (right - left)), (row - 2 * top) * 2 * width + 2 * left);
    }
    onPixels((bottom - top) * (right - left));
    if (right === width) {
      yield [2 * top, band];
      band = null;
    }
  }
}

export async function enlarged(step, plane, width, height, radius, onPixels) {
  const whole = new Float32Array(4 * width * height);
  for await (const [row, band] of enlargedBands(step, plane, width, height, radius, onPixels)) {
    whole.set(band, row * 2 * width);
  }
  return whole;
}
