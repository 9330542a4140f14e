// Enlarges pictures away from the page: one at a time, in tiles, with a word after each.

import { enlarged, enlargedBands } from "./enlarge.js";
import { pixelsOf } from "./pixels.js";
import { PngWriter } from "./png.js";
import { Recoloring } from "./recoloring.js";

const MODEL = "model/prosrn_light_step_x2.json";
const CLOSE = 5e-4; // an eighth of a grey level, to what PyTorch gives
const PREVIEW = 4096 * 4096; // pixels that are shown at most; the file has all of them
const LARGEST = 2 ** 28; // pixels of a result: more than this and tabs are ended by their browsers
let session, network;

async function sessionOf(ort, provider) {
  const made = await ort.InferenceSession.create(new URL(`model/${network.model}`, new URL(".", import.meta.url)).href, {
    executionProviders: [provider],
  });
  const run = async (input, height, width) => {
    const { output } = await made.run({ input: new ort.Tensor("float32", input, [1, 1, height, width]) });
    return output.getData ? await output.getData() : output.data;
  };
  const { dims, input, output } = network.check;
  const result = await run(Float32Array.from(input), dims[2], dims[3]);
  const worst = output.reduce((most, value, at) => Math.max(most, Math.abs(value - result[at])), 0);
  if (result.length !== output.length || !(worst < CLOSE)) throw new Error(`its arithmetic is off by ${worst}`);
  return run;
}

/** Load what this device runs best; a graphics processor that computes wrong is not used. */
async function prepare(wanted, threads) {
  network = await (await fetch(new URL(MODEL, import.meta.url))).json();
  if (wanted !== "wasm" && (await navigator.gpu?.requestAdapter().catch(() => null))) {
    try {
      const ort = await import("./ort/ort.webgpu.min.mjs");
      session = { run: await sessionOf(ort, "webgpu"), name: "WebGPU" };
      return;
    } catch (error) {
      console.info(`WebGPU is not used: ${error.message}`);
    }
  }
  const ort = await import("./ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = threads;
  session = { run: await sessionOf(ort, "wasm"), name: `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}` };
}

/** A smaller copy of what is written, by means of whole squares, made as the rows come. */
class Preview {
  constructor(width, height, channels) {
    this.reduce = 1;
    while ((width / this.reduce) * (height / this.reduce) > PREVIEW) this.reduce *= 2;
    Object.assign(this, { channels, wide: width, row: 0 });
    this.width = Math.floor(width / this.reduce);
    this.height = Math.floor(height / this.reduce);
    this.pixels = new Uint8ClampedArray(4 * this.width * this.height).fill(255);
    this.sums = new Uint32Array(this.width * channels);
  }

  add(rows) {
    const { reduce, channels, wide, sums } = this, used = this.width * reduce;
    for (let start = 0; start < rows.length && this.row < this.height * reduce; start += wide * channels, this.row++) {
      for (let x = 0; x < used; x++) {
        const to = Math.floor(x / reduce) * channels, from = start + x * channels;
        for (let channel = 0; channel < channels; channel++) sums[to + channel] += rows[from + channel];
      }
      if ((this.row + 1) % reduce) continue;
      const line = Math.floor(this.row / reduce) * this.width;
      for (let x = 0; x < this.width; x++) {
        for (let channel = 0; channel < channels; channel++) {
          this.pixels[4 * (line + x) + channel] = sums[x * channels + channel] / reduce ** 2;
        }
      }
      sums.fill(0);
    }
  }
}

async function enlarge({ file: source, scale }) {
  const { pixels, width, height } = await pixelsOf(source);
  if (width * height * scale * scale > LARGEST) {
    throw new Error(`The result would have ${width * scale} x ${height * scale} pixels; choose a smaller scale.`);
  }
  const begun = performance.now(), recoloring = new Recoloring(pixels, width, height, scale);
  let planes = recoloring.planes();
  let work = 0, done = 0;
  for (let factor = 1; factor < scale; factor *= 2) work += planes.length * width * height * factor ** 2;
  const onPixels = (count) => postMessage({ type: "progress", share: (done += count) / work });
  let factor = 1;
  for (; 2 * factor < scale; factor *= 2) {
    for (const [number, plane] of planes.entries()) {
      planes[number] = await enlarged(session.run, plane, width * factor, height * factor, network.radius, onPixels);
    }
  }
  const png = new PngWriter(width * scale, height * scale, recoloring.channels);
  const preview = new Preview(width * scale, height * scale, recoloring.channels);
  const last = planes.map((plane) =>
    enlargedBands(session.run, plane, width * factor, height * factor, network.radius, onPixels));
  for (;;) {
    const bands = [];
    for (const plane of last) bands.push(await plane.next());
    if (bands[0].done) break;
    const row = bands[0].value[0], rows = bands[0].value[1].length / (width * scale);
    const merged = recoloring.merge(bands.map((band) => band.value[1]), row, rows);
    preview.add(merged);
    await png.write(merged);
  }
  const file = await png.finish();
  const seconds = (performance.now() - begun) / 1000;
  const shown = { width: preview.width, height: preview.height, pixels: preview.pixels };
  const size = { width: width * scale, height: height * scale };
  postMessage({ type: "done", file, seconds, size, preview: shown, by: session.name }, [shown.pixels.buffer]);
}

onmessage = async ({ data }) => {
  try {
    if (!session) {
      await prepare(data.backend, data.threads);
      postMessage({ type: "ready", by: session.name });
    }
    await enlarge(data);
  } catch (error) {
    session = null; // a lost graphics processor is looked for again
    const memory = error instanceof RangeError || /memory|allocation/i.test(error.message);
    const message = memory ? "This device has not enough memory for it; choose a smaller scale." : error.message;
    postMessage({ type: "error", message });
  }
};
