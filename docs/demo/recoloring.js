// Between an 8-bit picture and the planes that the network enlarges, as src/prosr_lightning/pictures/recoloring.py:
// BT.601 in studio range, chroma by MATLAB's bicubic, colour premultiplied by alpha, float64 throughout.

const MATRIX = [
  [65.481, 128.553, 24.966],
  [-37.797, -74.203, 112.0],
  [112.0, -93.786, -18.214],
].map((row) => row.map((value) => value / 255));
const OFFSET = [16 / 255, 128 / 255, 128 / 255];
const BLACK = 16 / 255, SPAN = 219 / 255;
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
  /** @param {Uint8ClampedArray} pixels RGBA, not premultiplied. */
  constructor(pixels, width, height, scale) {
    Object.assign(this, { pixels, width, height, scale });
    this.opaque = true;
    for (let at = 3; at < pixels.length && this.opaque; at += 4) this.opaque = pixels[at] === 255;
    this.channels = this.opaque ? 3 : 4;
    this.across = taps(width, scale);
    this.down = taps(height, scale);
    this.chromaRows = new Map();
    this.alpha = this.opaque ? null : this.alphaRanges();
  }

  /** Luminance, and alpha unless all is opaque: Float32Array of width * height each. */
  planes() {
    const { pixels, width, height } = this, size = width * height;
    const luminance = new Float32Array(size), alpha = this.opaque ? null : new Float32Array(size);
    for (let at = 0; at < size; at++) {
      const part = alpha ? pixels[4 * at + 3] / 255 : 1;
      luminance[at] =
        MATRIX[0][0] * ((pixels[4 * at] / 255) * part) +
        MATRIX[0][1] * ((pixels[4 * at + 1] / 255) * part) +
        MATRIX[0][2] * ((pixels[4 * at + 2] / 255) * part) + OFFSET[0];
      if (alpha) alpha[at] = part * SPAN + BLACK;
    }
    return alpha ? [luminance, alpha] : [luminance];
  }

  /** Cb and Cr of a source row, enlarged across. */
  chromaRow(row) {
    let enlarged = this.chromaRows.get(row);
    if (enlarged) return enlarged;
    const { pixels, width, across } = this, chroma = [new Float64Array(width), new Float64Array(width)];
    for (let column = 0; column < width; column++) {
      const at = 4 * (row * width + column), part = this.opaque ? 1 : pixels[at + 3] / 255;
      for (const [plane, values] of chroma.entries()) {
        const [r, g, b] = MATRIX[plane + 1];
        values[column] =
          r * ((pixels[at] / 255) * part) + g * ((pixels[at + 1] / 255) * part) +
          b * ((pixels[at + 2] / 255) * part) + OFFSET[plane + 1];
      }
    }
    enlarged = chroma.map((values) => {
      const wide = new Float64Array(width * this.scale), { indices, weights } = across;
      for (let sample = 0; sample < wide.length; sample++) {
        const at = 4 * sample;
        wide[sample] =
          values[indices[at]] * weights[at] + values[indices[at + 1]] * weights[at + 1] +
          values[indices[at + 2]] * weights[at + 2] + values[indices[at + 3]] * weights[at + 3];
      }
      return wide;
    });
    if (this.chromaRows.size > 8) this.chromaRows.delete(this.chromaRows.keys().next().value);
    this.chromaRows.set(row, enlarged);
    return enlarged;
  }

  /** Rows of the enlarged picture, 8 bits a channel, from enlarged planes that begin at `firstRow`. */
  merge(planes, firstRow, rows) {
    const { width, scale, channels, down, opaque } = this, wide = width * scale, [own, alpha] = planes;
    const out = new Uint8Array(rows * wide * channels);
    const [[yToR, cbToR, crToR], [yToG, cbToG, crToG], [yToB, cbToB, crToB]] = INVERSE;
    for (let row = 0; row < rows; row++) {
      const y = firstRow + row, from = [0, 1, 2, 3].map((tap) => this.chromaRow(down.indices[4 * y + tap]));
      const [[cb0, cr0], [cb1, cr1], [cb2, cr2], [cb3, cr3]] = from;
      const [w0, w1, w2, w3] = down.weights.subarray(4 * y, 4 * y + 4);
      for (let x = 0, at = row * wide, to = at * channels; x < wide; x++, at++, to += channels) {
        const luminance = own[at] - OFFSET[0];
        const cb = cb0[x] * w0 + cb1[x] * w1 + cb2[x] * w2 + cb3[x] * w3 - OFFSET[1];
        const cr = cr0[x] * w0 + cr1[x] * w1 + cr2[x] * w2 + cr3[x] * w3 - OFFSET[2];
        let r = yToR * luminance + cbToR * cb + crToR * cr;
        let g = yToG * luminance + cbToG * cb + crToG * cr;
        let b = yToB * luminance + cbToB * cb + crToB * cr;
        if (!opaque) {
          const source = Math.floor(y / scale) * width + Math.floor(x / scale);
          const share = clamp((alpha[at] - BLACK) / SPAN, this.alpha.least[source], this.alpha.greatest[source]);
          const part = Math.max(share, 1 / 65535); // one 16-bit step
          [r, g, b] = share > 0 ? [r / part, g / part, b / part] : [0, 0, 0];
          out[to + 3] = eightBits(share);
        }
        out[to] = eightBits(r);
        out[to + 1] = eightBits(g);
        out[to + 2] = eightBits(b);
      }
    }
    return out;
  }

  /** The least and the greatest alpha around each source pixel: where all is transparent, or opaque, so is the result. */
  alphaRanges() {
    const { pixels, width, height } = this, least = new Float64Array(width * height).fill(1);
    const greatest = new Float64Array(width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const alpha = pixels[4 * (y * width + x) + 3] / 255;
        for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
          for (let at = row * width + Math.max(x - 1, 0); at <= row * width + Math.min(x + 1, width - 1); at++) {
            least[at] = Math.min(least[at], alpha);
            greatest[at] = Math.max(greatest[at], alpha);
          }
        }
      }
    }
    return { least, greatest };
  }
}

const clamp = (value, least, greatest) => Math.min(Math.max(value, least), greatest);
const eightBits = (value) => Math.floor(clamp(value, 0, 1) * 255 + 0.5); // halves up, as MATLAB's im2uint8
