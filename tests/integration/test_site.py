"""The built site: no broken link, nothing fetched from elsewhere; and its page that enlarges in the browser."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from site_server import WEBGPU, browsers, build_site, served

from prosr_lightning import Upscaler

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WAIT = 180_000  # milliseconds; machines that run tests are busy
DONE = "#result:not([hidden])"
PAGES = ("", "results/", "extending/", "api/networks/", "notebooks/1_quickstart/", "demo/")


@pytest.fixture(scope="module")
def site():
    build_site()
    with served() as (address, server):
        yield address, server


@pytest.fixture(scope="module")
def launch():
    with browsers() as start:
        yield start


@pytest.fixture(scope="module")
def chromium(launch):
    started = launch()
    yield started
    started.close()


def visited(chromium, site, page: str, **settings):
    """Open a page in a window of its own; notes what it asks for elsewhere, and what goes wrong."""
    window = chromium.new_context(**settings).new_page()
    window.faults = []
    window.on("pageerror", lambda error: window.faults.append(str(error)))
    window.on("request", lambda request: _note(window, request, site[0]))
    window.goto(site[0] + page)
    return window


def _note(window, request, address: str) -> None:
    if request.method != "GET" or not request.url.startswith((address, "data:", "blob:")):
        window.faults.append(f"{request.method} {request.url}")


@pytest.fixture
def demo(chromium, site):
    """The page, kept and isolated, so that it does not load again under the test."""
    window = visited(chromium, site, "demo/?backend=wasm", viewport={"width": 1280, "height": 900})
    window.wait_for_function("() => crossOriginIsolated")
    window.wait_for_load_state("load")
    yield window
    assert not window.faults
    window.context.close()


def photograph(width: int, height: int, *, alpha: str = "") -> Image.Image:
    """Return soft edges, opaque or with transparent and opaque parts, and with "soft" half transparent ones."""
    random = np.random.default_rng(1)
    coarse = Image.fromarray(random.integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8))
    picture = coarse.resize((width, height), Image.Resampling.BICUBIC)
    if alpha:
        mask = random.integers(0, 256, (height, width), dtype=np.uint8)
        mask[: height // 3], mask[-height // 3 :] = 0, 255
        mask = mask if alpha == "soft" else (mask > 127) * np.uint8(255)
        picture.putalpha(Image.fromarray(mask))
    return picture


def drop(window, path: Path) -> None:
    """Drop a file on the page, as a hand does."""
    data = base64.b64encode(path.read_bytes()).decode()
    transfer = window.evaluate_handle(
        """([data, name]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/png" }));
            return transfer;
        }""",
        [data, path.name],
    )
    window.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def result(window, folder: Path) -> tuple[str, Image.Image]:
    """Wait for the result, and return the name and the pixels of what can be downloaded."""
    window.wait_for_selector(f"{DONE}, #status.wrong", timeout=WAIT)
    assert window.is_visible("#result"), window.inner_text("#status")
    with window.expect_download() as download:
        window.click("#download")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    with Image.open(path) as picture:
        picture.load()
    return path.name, picture


@pytest.mark.parametrize(
    ("size", "alpha", "scale"),
    [((402, 30), "", 2), ((60, 48), "soft", 4), ((60, 48), "hard", 2), ((36, 30), "", 8), ((5, 3), "", 16)],
    ids=["two tiles", "transparency", "a mask", "8x", "smaller than the kernels"],
)
def test_a_dropped_picture_is_that_of_the_command(demo, tmp_path, size, alpha, scale):
    picture = photograph(*size, alpha=alpha) if min(size) >= 12 else photograph(12, 12).resize(size)
    picture.save(tmp_path / "photo.png")
    demo.select_option("#scale", str(scale))
    drop(demo, tmp_path / "photo.png")
    name, enlarged = result(demo, tmp_path)
    assert name == f"photo_x{scale}.png"
    assert enlarged.size == (size[0] * scale, size[1] * scale)
    expected = Upscaler.from_pretrained("prosrn_light", device="cpu").upscale(picture, scale)
    assert enlarged.mode == expected.mode
    ours, theirs = np.asarray(expected).astype(int), np.asarray(enlarged).astype(int)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < (1e-2 if alpha else 1e-3)  # means under transparent pixels are often ties
    shown = demo.evaluate("() => [document.querySelector('#after').width, document.querySelector('#after').height]")
    assert tuple(shown) == enlarged.size
    assert f"{enlarged.width} x {enlarged.height} pixels in" in demo.inner_text("#status")


def test_a_graphics_processor_gives_the_same(launch, site, tmp_path):
    photograph(60, 48).save(tmp_path / "photo.png")
    chromium = launch(*WEBGPU)
    window = visited(chromium, site, "demo/?alone")
    if not window.evaluate("async () => Boolean(navigator.gpu && (await navigator.gpu.requestAdapter()))"):
        chromium.close()
        pytest.skip("this Chromium has no WebGPU")
    window.select_option("#scale", "2")
    drop(window, tmp_path / "photo.png")
    _, enlarged = result(window, tmp_path)
    assert "WebGPU" in window.inner_text("#status")
    chromium.close()
    expected = Upscaler.from_pretrained("prosrn_light", device="cpu").upscale(photograph(60, 48), 2)
    assert np.abs(np.asarray(expected).astype(int) - np.asarray(enlarged).astype(int)).max() <= 1


def test_it_can_be_cancelled_and_used_again(demo, tmp_path):
    photograph(1200, 900).save(tmp_path / "large.png")
    photograph(36, 30).save(tmp_path / "small.png")
    drop(demo, tmp_path / "large.png")
    demo.wait_for_function("() => document.querySelector('#bar').value > 0", timeout=WAIT)
    assert demo.is_disabled("#go")
    assert demo.is_disabled("#scale")
    demo.click("#cancel")
    demo.wait_for_function("() => document.querySelector('#status').textContent === 'Cancelled.'", timeout=WAIT)
    assert not demo.is_visible("#bar")
    assert not demo.is_visible("#result")
    drop(demo, tmp_path / "small.png")
    assert result(demo, tmp_path)[1].size == (144, 120)


def test_what_is_wrong_is_said(demo, tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    drop(demo, tmp_path / "notes.png")
    demo.wait_for_selector("#status.wrong", timeout=WAIT)
    assert demo.inner_text("#status") == "notes.png is no picture that this browser can read; try a JPEG or PNG."
    photograph(1500, 1200).save(tmp_path / "large.png")
    demo.select_option("#scale", "16")
    drop(demo, tmp_path / "large.png")
    demo.wait_for_function("() => document.querySelector('#status').textContent.includes('24000 x 19200')")
    assert demo.is_enabled("#go")


def test_the_divider_moves(demo, tmp_path):
    photograph(60, 48).save(tmp_path / "photo.png")
    drop(demo, tmp_path / "photo.png")
    demo.wait_for_selector(DONE, timeout=WAIT)
    covered = "() => parseFloat(getComputedStyle(document.querySelector('#stack')).getPropertyValue('--at'))"
    for value in (0, 25, 100):
        demo.evaluate(
            "(value) => { divider.value = value; divider.dispatchEvent(new Event('input')); }",
            value,
        )
        width = demo.evaluate("() => document.querySelector('#view').clientWidth")
        assert demo.evaluate(covered) == pytest.approx(width * value / 100, abs=1)


def test_it_works_without_network_once_it_is_loaded(chromium, site, tmp_path):
    photograph(36, 30).save(tmp_path / "photo.png")
    with served() as (address, _):
        window = visited(chromium, (address,), "demo/?backend=wasm")
        window.wait_for_function("() => crossOriginIsolated")
        drop(window, tmp_path / "photo.png")
        first = np.asarray(result(window, tmp_path)[1])
    window.reload()  # there is no server any more
    assert window.inner_text("h1").startswith("Enlarge a picture")
    window.wait_for_function("() => crossOriginIsolated")
    drop(window, tmp_path / "photo.png")
    assert np.array_equal(np.asarray(result(window, tmp_path)[1]), first)
    window.context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_and_fetch_nothing_from_elsewhere(chromium, site, page, width):
    window = visited(chromium, site, page, viewport={"width": width, "height": 844})
    window.wait_for_load_state("networkidle")
    assert window.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    assert window.query_selector("h1") is not None
    if page == "demo/":
        for name in ("#drop", "#scale", "#go", "#cancel"):
            box = window.query_selector(name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    assert not window.faults
    window.context.close()
