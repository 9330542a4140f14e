"""What the page that enlarges in the browser costs, beside the command: `make demo-speed PICTURE=photo.png`.

Both in turns, on all cores: the command from its start to its file, and the page from the drop to the result, once the
network is loaded; the start of the command is what a picture of 8 x 8 pixels takes. Also the weight of the page and the
largest difference of the results.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from site_server import browsers, build_site, served

SCALE, ROUNDS = 2, 3


def main(picture: Path) -> None:
    build_site()
    weights: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, served() as (address, _), browsers() as launch:
        tiny = Path(folder) / "tiny_input.png"
        Image.new("RGB", (8, 8)).save(tiny)
        chromium = launch()
        window = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        window.on("response", lambda response: weights.update({response.url: int(response.headers["content-length"])}))
        window.goto(f"{address}demo/?backend=wasm")
        window.wait_for_function("() => crossOriginIsolated")
        window.select_option("#scale", str(SCALE))
        command, start, page = list[float](), list[float](), list[float]()
        for _ in range(ROUNDS + 1):
            for path, seconds in ((picture, command), (tiny, start)):
                begun = time.perf_counter()
                words = [
                    "-n",
                    "prosrn_light",
                    "-s",
                    str(SCALE),
                    "-o",
                    f"{folder}/{path.stem}_command.png",
                    "--overwrite",
                ]
                run = [sys.executable, "-m", "prosr_lightning.upscale", "-i", str(path), *words]
                subprocess.run(run, check=True, capture_output=True)
                seconds.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            window.set_input_files("#file", [])
            window.set_input_files("#file", str(picture))
            window.wait_for_selector("#result:not([hidden])", timeout=600_000)
            page.append(time.perf_counter() - begun)
        with window.expect_download() as download:
            window.click("#download")
        download.value.save_as(f"{folder}/page.png")
        said = window.inner_text("#status")
        chromium.close()
        with Image.open(f"{folder}/{picture.stem}_command.png") as one, Image.open(f"{folder}/page.png") as other:
            differences = np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int))
            megapixels = one.width * one.height / 1e6
    weights = {url: size for url, size in weights.items() if url.startswith("http")}  # no pictures of the page's own
    runtime = sum(size for url, size in weights.items() if "/ort/" in url)
    network = sum(size for url, size in weights.items() if "/model/" in url)
    rest = sum(weights.values()) - runtime - network
    own, theirs, begin = (statistics.median(seconds[1:]) / megapixels for seconds in (page, command, start))
    say = sys.stdout.write
    say(f"page {sum(weights.values()) / 1e6:.1f} MB: runtime {runtime / 1e6:.1f}, network {network / 1e6:.2f}, ")
    say(f"the rest {rest / 1e6:.2f}\n{picture.name} at {SCALE}x: {said}\n")
    say(f"first time with the loading of the network {page[0]:.1f} s\n")
    say(f"page {own:.2f}, command {theirs:.2f} s a megapixel of the result, {begin:.2f} of them its start: ")
    say(f"{own / theirs:.2f} times as long, {own / (theirs - begin):.2f} times without the start\n")
    say(f"largest difference {differences.max()} grey levels, {(differences > 0).mean():.1e} of the values differ\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
