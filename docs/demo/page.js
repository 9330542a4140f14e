// What the visitor sees: choose a picture, wait or cancel, compare, download.

const HERE = new URL(".", import.meta.url);
const words = new URLSearchParams(location.search); // ?backend=wasm&threads=1, for tests and the curious
const $ = (id) => document.getElementById(id);
const view = $("view"), stack = $("stack"), divider = $("divider"), bar = $("bar");
let worker, file, result, wide;

function start() {
  const isolated = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  const made = new Worker(new URL("worker.js", HERE), { type: "module" });
  made.settings = { backend: words.get("backend"), threads: Number(words.get("threads")) || isolated };
  made.onmessage = ({ data }) => RECEIVED[data.type](data);
  made.onerror = (event) => {
    event.preventDefault();
    fail(`This browser cannot run it: ${event.message || "no module workers"}.`);
  };
  return made;
}

const RECEIVED = {
  ready: ({ by }) => tell(`Enlarging by ${by} ...`),
  progress: ({ share }) => (bar.value = share),
  error: ({ message }) => fail(message),
  done: show,
};

function busy(now) {
  document.body.classList.toggle("enlarging", now);
  $("cancel").disabled = !now;
  $("go").disabled = now || !file;
  $("scale").disabled = now;
  bar.hidden = !now;
  if (now) bar.value = 0;
}

const running = () => !$("cancel").disabled;
const tell = (text) => ($("status").textContent = text);

function fail(message) {
  busy(false);
  tell(message);
  $("status").classList.add("wrong");
}

function choose(chosen) {
  if (!chosen || running()) return;
  file = chosen;
  URL.revokeObjectURL($("before").src);
  $("before").src = URL.createObjectURL(file);
  enlarge();
}

function enlarge() {
  if (!file || running()) return;
  worker ??= start();
  $("result").hidden = true;
  $("status").classList.remove("wrong");
  busy(true);
  tell("Loading the network ...");
  worker.postMessage({ file, scale: Number($("scale").value), ...worker.settings });
}

function show({ file: made, seconds, preview, by, size }) {
  const canvas = $("after");
  canvas.width = preview.width;
  canvas.height = preview.height;
  canvas.getContext("2d").putImageData(new ImageData(preview.pixels, preview.width, preview.height), 0, 0);
  if (result) URL.revokeObjectURL(result);
  result = URL.createObjectURL(made);
  const name = `${file.name?.replace(/\.[^.]*$/, "") || "picture"}_x${$("scale").value}.png`;
  Object.assign($("download"), { href: result, download: name });
  $("download").textContent = `Download ${name} (${(made.size / 1e6).toFixed(1)} MB)`;
  wide = preview.width / devicePixelRatio;
  $("result").hidden = false;
  fit();
  busy(false);
  const megapixels = (size.width * size.height) / 1e6;
  tell(`${size.width} x ${size.height} pixels in ${seconds.toFixed(1)} s (${by}, ${(seconds / megapixels).toFixed(2)} s a megapixel).`);
}

/** Show all of the picture, or a pixel as a pixel. */
function fit() {
  const actual = $("actual").checked;
  view.classList.toggle("actual", actual);
  stack.style.width = actual ? `${wide}px` : "100%";
  divide();
}

/** The divider is a share of what is seen, also when the picture is scrolled. */
function divide() {
  const at = view.scrollLeft + (view.clientWidth * divider.value) / 100;
  stack.style.setProperty("--at", `${Math.min(at, stack.clientWidth)}px`);
}

$("file").addEventListener("change", ({ target }) => choose(target.files[0]));
$("go").addEventListener("click", enlarge);
$("cancel").addEventListener("click", () => {
  worker.terminate(); // at once, also in the middle of a tile
  worker = null;
  busy(false);
  tell("Cancelled.");
});
$("actual").addEventListener("change", fit);
divider.addEventListener("input", divide);
view.addEventListener("scroll", divide);
addEventListener("resize", () => !$("result").hidden && divide());
stack.addEventListener("pointermove", (event) => {
  if (event.pointerType === "touch" && !$("actual").checked && !event.buttons) return;
  if (event.pointerType !== "touch" && !event.buttons) return;
  divider.value = (100 * (event.clientX - view.getBoundingClientRect().left)) / view.clientWidth;
  divide();
});
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") choose(event.dataTransfer.files[0]);
  });
}
addEventListener("dragleave", () => $("drop").classList.remove("over"));
addEventListener("paste", (event) => choose(event.clipboardData.files[0]));

/** Keep the page for use without network; what comes through the keeper may also use several threads. */
async function keep() {
  if (!navigator.serviceWorker) return;
  await navigator.serviceWorker.register(new URL("keeper.js", HERE));
  const { active } = await navigator.serviceWorker.ready;
  if (!self.crossOriginIsolated && !file && !sessionStorage.getItem("kept")) {
    sessionStorage.setItem("kept", "yes"); // once, or a browser that forgets would load for ever
    location.reload();
    return;
  }
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  active.postMessage([location.href.split(/[?#]/)[0], ...loaded.filter((name) => name.startsWith(location.origin))]);
}

busy(false);
if (!words.has("alone")) keep().catch(() => {}); // private windows refuse; it works without
