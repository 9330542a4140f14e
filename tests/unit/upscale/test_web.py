"""What stands behind the page, without the page: no gradio needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prosr_lightning import DEFAULT_MODEL
from prosr_lightning.errors import CheckpointError, ConfigError, ImageError, MissingDependencyError
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.upscale import web
from prosr_lightning.upscale.upscaler import Upscaler


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    with torch.no_grad():
        network.fusion.weight.normal_(std=0.05)
    return Upscaler.from_network(network, device="cpu")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_network_and_bicubic_are_compared(
    upscaler: Upscaler, photographs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    [source] = photographs((21, 34))
    shares: list[float] = []
    result = web.compare(source, 4, upscaler, tmp_path, on_progress=shares.append)
    original = pixels(source)
    bicubic = bicubic_upscale(torch.tensor(original / 255).permute(2, 0, 1)[None], 4)[0].permute(1, 2, 0)
    expected = (bicubic.clamp(0, 1) * 255).round().numpy()
    assert np.abs(pixels(result.bicubic) - expected).max() <= 1  # luminance and chroma apart, in float32
    assert np.array_equal(pixels(result.enlarged), upscaler.upscale(original, 4))
    assert not np.array_equal(pixels(result.enlarged), pixels(result.bicubic))
    assert result.enlarged.name == "00_x4.png"
    assert result.facts.startswith("**34x21** → **136x84** pixels (4x) in ")
    assert shares[-1] == 1


def test_any_scale_is_taken_that_the_command_takes(
    upscaler: Upscaler, photographs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    [source] = photographs((21, 34))
    result = web.compare(source, 2.7, upscaler, tmp_path)
    assert pixels(result.enlarged).shape == pixels(result.bicubic).shape == (57, 92, 3)
    assert np.array_equal(pixels(result.enlarged), upscaler.upscale(pixels(source), 2.7))
    assert result.enlarged.name == "00_x2.7.png"
    assert result.facts.startswith("**34x21** → **92x57** pixels (2.7x) in ")
    for wrong in (1, 16.1, float("nan")):
        with pytest.raises(ConfigError, match="`scale` must be a number above 1 and at most 16"):
            web.compare(source, wrong, upscaler, tmp_path)


def test_transparency_and_16_bits_are_kept(upscaler: Upscaler, tmp_path: Path) -> None:
    transparent = np.full((9, 8, 4), 200, np.uint8)
    transparent[:4, :, 3] = 0
    deep = np.arange(72, dtype=np.uint16).reshape(9, 8) * 900
    for name, array in (("transparent", transparent), ("deep", deep)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        result = web.compare(tmp_path / f"{name}.png", 2, upscaler, tmp_path)
        for path in (result.enlarged, result.bicubic):
            assert pixels(path).dtype == array.dtype
            assert pixels(path).shape == (18, 16, *array.shape[2:])
        if name == "transparent":
            assert pixels(result.bicubic)[0, 0, 3] == 0
            assert pixels(result.bicubic)[-1, 0].tolist() == [200, 200, 200, 200]


@pytest.mark.parametrize(
    ("size", "scale", "found"),
    [
        ((1000, 1001), 8, r"64 megapixels on this page, got 64.1 \(8000x8008\); choose scale 7.9,"),
        ((4001, 4001), 2, r"got 64.0 \(8002x8002\); choose scale 1.9,"),
        ((6000, 6000), 2, r"got 144.0 \(12000x12000\); choose a smaller picture"),
    ],
)
def test_too_large_a_result_is_refused_before_the_work(
    upscaler: Upscaler, tmp_path: Path, size: tuple[int, int], scale: int, found: str
) -> None:
    Image.new("1", size).save(tmp_path / "large.png")
    with pytest.raises(ImageError, match=found):
        web.compare(tmp_path / "large.png", scale, upscaler, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_limit_itself_is_allowed() -> None:
    assert web._checked_size(2000, 2000, 4) == (8000, 8000)


def test_a_file_that_is_no_picture_is_named(upscaler: Upscaler, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(ImageError, match="notes.jpg must be an image"):
        web.compare(tmp_path / "notes.jpg", 2, upscaler, tmp_path)


def test_what_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "released_names", lambda: ("abc", "prosrgan", DEFAULT_MODEL))
    assert list(web.choices()) == ["auto", DEFAULT_MODEL, "abc", "prosrgan"]
    assert list(web.choices("prosrgan")) == ["prosrgan", DEFAULT_MODEL, "abc"]
    assert next(iter(web.choices("runs/best.ckpt").items())) == ("best.ckpt", "runs/best.ckpt")
    monkeypatch.setattr(web, "released_names", lambda: ())
    with pytest.raises(CheckpointError, match="name a file with --model"):
        web.choices()


def test_the_experimental_network_is_offered_as_such() -> None:
    labels = {name: web._label(name) for name in web.choices()}
    assert labels.pop("prosrgan") == "prosrgan (experimental)"
    assert all(label == name for name, label in labels.items())


def test_without_gradio_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_RUN_HISTORY", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "before")  # and restored afterwards
    with pytest.raises(MissingDependencyError, match=r"pip install prosr-lightning\[web\]"):
        web.build_page({"tiny": "tiny.safetensors"})
    save_network(tmp_path / "tiny.safetensors", Generator(depth=1, channels=4))
    assert web.main(["--model", str(tmp_path / "tiny.safetensors")]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: The web page needs gradio")
    assert "[web]" in printed.err  # not taken for markup
    assert printed.out == ""


def test_a_wrong_model_is_told_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert web.main(["--model", "nonsense"]) == 1
    assert capsys.readouterr().err.startswith("error: 'nonsense' must be released weights or a file")


class FakeGradio:
    """What the handler needs of gradio."""

    class Error(Exception):
        def __init__(self, message: str, **_: object) -> None:
            super().__init__(message)

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def Warning(self, text: str) -> None:  # noqa: N802
        self.warnings.append(text)

    def Progress(self) -> None:  # noqa: N802
        return None

    def DownloadButton(self, **arguments: object) -> dict[str, object]:  # noqa: N802
        return arguments


def test_a_failed_picture_shows_no_earlier_result_and_warnings_reach_the_page(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    gradio = FakeGradio()
    enlarge = web._handler(gradio, {"tiny": "tiny"}, lambda _: upscaler)
    nothing = (None, {"value": None, "interactive": False}, "")
    (tmp_path / "notes.png").write_text("no picture")
    steps = enlarge(str(tmp_path / "notes.png"), 2, "tiny", None, lambda share: None)
    assert next(steps) == nothing
    with pytest.raises(FakeGradio.Error, match="^notes.png must be an image"):
        next(steps)
    Image.new("CMYK", (8, 8)).save(tmp_path / "inks.tif")
    steps = enlarge(str(tmp_path / "inks.tif"), 2, "tiny", None, lambda share: None)
    assert next(steps) == nothing
    (_, enlarged), button, facts = next(steps)
    assert Path(enlarged).name == "inks_x2.png"
    assert button["interactive"]
    assert facts.endswith("tiny")
    assert gradio.warnings == ["inks.tif is CMYK and becomes sRGB; what sRGB does not hold is clipped."]


def test_a_picture_that_browsers_cannot_show_has_a_preview_and_is_enlarged_itself(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    deep = np.arange(72, dtype=np.uint16).reshape(9, 8) * 900
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    preview, original = web._preview(str(tmp_path / "deep.tif"))
    assert pixels(Path(preview)).dtype == np.uint8
    enlarge = web._handler(FakeGradio(), {"tiny": "tiny"}, lambda _: upscaler)
    _, (files, *_) = enlarge(preview, 2, "tiny", original, lambda share: None)
    assert files[1].endswith("deep_x2.png")
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert web._preview(str(tmp_path / "a.png")) == (str(tmp_path / "a.png"),) * 2
