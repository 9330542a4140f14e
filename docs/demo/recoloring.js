// Between an 8-bit picture and the planes that the network enlarges, as src/prosr_lightning/pictures/recoloring.py:
// BT.601 in studio range, chroma by MATLAB's bicubic, visible colours spread under transparent pixels, float64 throughout.

const MATRIX = [
  [65.481, 128.553, 24.966],
  [-37.797, -74.203, 112.0],
  [112.0, -93.786, -18.214],
].map((row) => row.map((value) => value / 255));
const OFFSET = [16 / 255, 128 / 255, 128 / 255];
const BLACK = 16 / 255, SPAN = 219 / 255;
const SPREAD = 8; // pixels over which visible colours spread under transparent ones
const INVERSE = inverse(MATRIX);

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const cofactors = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  const determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0];
  return cofactors.map((row) => row.map((value) => value / determinant));
}

const mirrored = (index, length) => {
  const position = ((index % (2 * length)) + 2 * length) % (2 * length);
  return position < length ? position : 2 * length - 1 - position;
};

const keys = (distance) => {
  const x = Math.abs(distance);
  if (x <= 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  return x < 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
};

/** For each sample of an enlarged line its four source samples and their weights. */
function taps(length, scale) {
  const indices = new Int32Array(4 * length * scale), weights = new Float64Array(4 * length * scale);
  for (let sample = 0; sample < length * scale; sample++) {
    const centre = (sample + 0.5) / scale - 0.5, first = Math.floor(centre) - 1;
    const own = [0, 1, 2, 3].map((tap) => keys(first + tap - centre));
    const sum = own.reduce((total, weight) => total + weight);
    for (let tap = 0; tap < 4; tap++) {
      indices[4 * sample + tap] = mirrored(first + tap, length);
      weights[4 * sample + tap] = own[tap] / sum;
    }
  }
  return { indices, weights };
}

export class Recoloring {
  /** @param {Uint8ClampedArray} pixels RGBA, not premultiplied; the hidden ones are replaced. */
  constructor(pixels, width, height, scale) {
    Object.assign(this, { pixels, width, height, scale });
    this.opaque = this.hard = true;
    for (let at = 3; at < pixels.length; at += 4) {
      this.opaque &&= pixels[at] === 255;
      this.hard &&= pixels[at] === 255 || pixels[at] === 0;
    }
    this.channels = this.opaque ? 3 : 4;
    this.across = taps(width, scale);
    this.down = taps(height, scale);
    this.rows = new Map();
    if (!this.opaque) spread(pixels, width, height);
  }

  /** Luminance, and alpha unless it is nowhere in between: Float32Array of width * height each. */
  planes() {
    const { pixels, width, height } = this, size = width * height, [[r, g, b]] = MATRIX;
    const luminance = new Float32Array(size), alpha = this.hard ? null : new Float32Array(size);
    for (let at = 0, from = 0; at < size; at++, from += 4) {
      luminance[at] = r * (pixels[from] / 255) + g * (pixels[from + 1] / 255) + b * (pixels[from + 2] / 255) + OFFSET[0];
      if (alpha) alpha[at] = (pixels[from + 3] / 255) * SPAN + BLACK;
    }
    return alpha ? [luminance, alpha] : [luminance];
  }

  /** Cb, Cr and, where bicubic enlarges it, alpha of a source row, enlarged across. */
  wideRow(row) {
    let enlarged = this.rows.get(row);
    if (enlarged) return enlarged;
    const { pixels, width, scale } = this, { indices, weights } = this.across;
    const [, [rToCb, gToCb, bToCb], [rToCr, gToCr, bToCr]] = MATRIX;
    const planes = [0, 1, 2].map(() => new Float64Array(width));
    for (let column = 0, at = 4 * row * width; column < width; column++, at += 4) {
      const r = pixels[at] / 255, g = pixels[at + 1] / 255, b = pixels[at + 2] / 255;
      planes[0][column] = rToCb * r + gToCb * g + bToCb * b + OFFSET[1];
      planes[1][column] = rToCr * r + gToCr * g + bToCr * b + OFFSET[2];
      planes[2][column] = pixels[at + 3] / 255;
    }
    enlarged = planes.slice(0, !this.opaque && this.hard ? 3 : 2).map((values) => {
      const wide = new Float64Array(width * scale);
      for (let sample = 0, at = 0; sample < wide.length; sample++, at += 4) {
        wide[sample] =
          values[indices[at]] * weights[at] + values[indices[at + 1]] * weights[at + 1] +
          values[indices[at + 2]] * weights[at + 2] + values[indices[at + 3]] * weights[at + 3];
      }
      return wide;
    });
    if (this.rows.size > 8) this.rows.delete(this.rows.keys().next().value);
    this.rows.set(row, enlarged);
    return enlarged;
  }

  /** Rows of the enlarged picture, 8 bits a channel, from enlarged planes that begin at `firstRow`. */
  merge(planes, firstRow, rows) {
    const { width, scale, channels, down, opaque, hard } = this, wide = width * scale, [own, alpha] = planes;
    const out = new Uint8Array(rows * wide * channels);
    const [[yToR, cbToR, crToR], [yToG, cbToG, crToG], [yToB, cbToB, crToB]] = INVERSE;
    for (let row = 0; row < rows; row++) {
      const y = firstRow + row, from = [0, 1, 2, 3].map((tap) => this.wideRow(down.indices[4 * y + tap]));
      const [[cb0, cr0, alpha0], [cb1, cr1, alpha1], [cb2, cr2, alpha2], [cb3, cr3, alpha3]] = from;
      const [w0, w1, w2, w3] = down.weights.subarray(4 * y, 4 * y + 4);
      for (let x = 0, at = row * wide, to = at * channels; x < wide; x++, at++, to += channels) {
        const luminance = own[at] - OFFSET[0];
        const cb = cb0[x] * w0 + cb1[x] * w1 + cb2[x] * w2 + cb3[x] * w3 - OFFSET[1];
        const cr = cr0[x] * w0 + cr1[x] * w1 + cr2[x] * w2 + cr3[x] * w3 - OFFSET[2];
        if (!opaque) {
          const sample = hard
            ? alpha0[x] * w0 + alpha1[x] * w1 + alpha2[x] * w2 + alpha3[x] * w3
            : (alpha[at] - BLACK) / SPAN;
          const share = this.withinRange(sample, x, y);
          out[to + 3] = eightBits(share);
          if (!(share > 0)) continue;
        }
        out[to] = eightBits(yToR * luminance + cbToR * cb + crToR * cr);
        out[to + 1] = eightBits(yToG * luminance + cbToG * cb + crToG * cr);
        out[to + 2] = eightBits(yToB * luminance + cbToB * cb + crToB * cr);
      }
    }
    return out;
  }

  /** Keep alpha within the four samples around: where all of them are transparent, or opaque, so is the result. */
  withinRange(share, x, y) {
    const { pixels, width, height, scale } = this;
    const left = Math.floor((2 * x + 1 - scale) / (2 * scale)), top = Math.floor((2 * y + 1 - scale) / (2 * scale));
    const columns = [Math.max(left, 0), Math.min(left + 1, width - 1)];
    const rows = [Math.max(top, 0) * width, Math.min(top + 1, height - 1) * width];
    const a = pixels[4 * (rows[0] + columns[0]) + 3], b = pixels[4 * (rows[0] + columns[1]) + 3];
    const c = pixels[4 * (rows[1] + columns[0]) + 3], d = pixels[4 * (rows[1] + columns[1]) + 3];
    return clamp(share, Math.min(a, b, c, d) / 255, Math.max(a, b, c, d) / 255);
  }
}

/** Give transparent pixels the mean of the visible ones around, from neighbour to neighbour; far ones become black. */
function spread(pixels, width, height) {
  const weights = new Float32Array(width * height), colours = new Float32Array(3 * width * height);
  let hidden = [];
  for (let at = 0; at < weights.length; at++) {
    weights[at] = pixels[4 * at + 3] / 255;
    if (!weights[at]) hidden.push(at);
    for (let channel = 0; channel < 3; channel++) colours[3 * at + channel] = pixels[4 * at + channel] * weights[at];
  }
  const all = hidden;
  for (let round = 0; round < SPREAD && hidden.length; round++) {
    const reached = [], left = [];
    for (const at of hidden) {
      const y = Math.floor(at / width), x = at % width, sum = [0, 0, 0, 0];
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
          const from = row * width + column;
          for (let channel = 0; channel < 3; channel++) sum[channel] += colours[3 * from + channel];
          sum[3] += weights[from];
        }
      }
      if (sum[3] > 0) reached.push([at, sum]);
      else left.push(at);
    }
    for (const [at, [r, g, b, weight]] of reached) {
      colours.set([r / weight, g / weight, b / weight], 3 * at);
      weights[at] = 1;
    }
    hidden = left;
  }
  for (const at of all) for (let channel = 0; channel < 3; channel++) pixels[4 * at + channel] = colours[3 * at + channel];
}

const clamp = (value, least, greatest) => Math.min(Math.max(value, least), greatest);
const eightBits = (value) => Math.floor(clamp(value, 0, 1) * 255 + 0.5); // halves up, as MATLAB's im2uint8
