"""The upscaler: kinds in and out, colour, transparency, depth, tiles, precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from golden.independent import imresize_to
from prosr_lightning.errors import CheckpointError, ConfigError, ImageError, OutOfMemoryError
from prosr_lightning.imaging.color import rgb_to_luminance, rgb_to_ycbcr, ycbcr_to_rgb
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks import DirectNetwork, Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.recoloring import Recoloring
from prosr_lightning.pictures.rows import WholePicture
from prosr_lightning.upscale.contract import Streamed
from prosr_lightning.upscale.upscaler import Upscaler


def lively() -> Generator:
    """Return a small network that does something, without blowing values up."""
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    with torch.no_grad():
        network.fusion.weight.normal_(std=0.05)
    return network.eval()


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler.from_network(lively(), device="cpu", tile=16)


@pytest.mark.parametrize("scale", [2, 4, 8])
@torch.inference_mode()
def test_colour_is_the_networks_luminance_and_bicubic_chroma(upscaler: Upscaler, scale: int) -> None:
    rgb = torch.rand(1, 3, 23, 37)
    luminance = lively().enlarge(rgb_to_luminance(rgb), scale)
    chroma = bicubic_upscale(rgb_to_ycbcr(rgb)[:, 1:], scale)
    expected = ycbcr_to_rgb(torch.cat([luminance, chroma], dim=1)).clamp(0, 1)
    assert (upscaler.upscale(rgb, scale) - expected).abs().max().item() < 1e-5


@pytest.mark.parametrize("size", [(100, 60), (38, 69), (200, 23)])
@torch.inference_mode()
def test_any_size_is_the_next_power_of_two_brought_down(upscaler: Upscaler, size: tuple[int, int]) -> None:
    rgb, (width, height) = torch.rand(1, 3, 23, 37), size
    whole = 2 if max(width / 37, height / 23) <= 2 else 4 if max(width / 37, height / 23) <= 4 else 8
    luminance = imresize_to(lively().enlarge(rgb_to_luminance(rgb), whole)[0, 0].numpy(), (height, width))
    chroma = [imresize_to(plane.numpy(), (height, width)) for plane in rgb_to_ycbcr(rgb)[0, 1:]]
    expected = ycbcr_to_rgb(torch.from_numpy(np.stack([luminance, *chroma]))).clamp(0, 1)
    assert (upscaler.upscale(rgb, size=size)[0] - expected).abs().max().item() < 1e-5


def test_factors_between_powers_of_two(upscaler: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    assert upscaler.upscale(image, scale=1.5).shape == (30, 45, 4)
    assert np.array_equal(upscaler.upscale(image, 3), upscaler.upscale(image, size=(90, 60)))
    levels = upscaler.upscale(image, 5, levels=True)
    assert [level.shape for level in levels] == [(40, 60, 4), (80, 120, 4), (100, 150, 4)]
    assert np.array_equal(levels[1], upscaler.upscale(image, 4))
    with pytest.raises(ConfigError, match="got scale and size; keep one"):
        upscaler.upscale(image, 2, size=(60, 40))
    with pytest.raises(ConfigError, match="a network does not shrink"):
        upscaler.upscale(image, size=(60, 10))


def test_a_stream_is_the_whole_picture_in_rows(upscaler: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 18, 4), dtype=np.uint8)
    read = list[int]()

    class Rows:
        shape, dtype = image.shape, image.dtype

        def bands(self) -> Iterator[np.ndarray]:
            for top in range(0, 50, 7):
                read.append(top)
                yield image[top : top + 7]

    enlarged = upscaler.rows(Rows(), 4)
    assert (enlarged.shape, enlarged.dtype) == ((200, 72, 4), np.uint8)
    rows = enlarged.bands()
    assert read == []
    first = next(rows)
    assert read[0] == 0  # not all is opaque
    assert read[1:] == list(range(0, 28, 7))  # what the first tile sees, and 8 rows from which colours spread
    assert np.array_equal(np.concatenate([first, *rows]), upscaler.upscale(image, 4))


def test_merging_by_single_rows_changes_nothing(upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (21, 18, 4), dtype=np.uint8)
    whole = upscaler.upscale(image, 8)
    monkeypatch.setattr("prosr_lightning.pictures.recoloring._PIXELS_AT_ONCE", 1)
    assert np.array_equal(upscaler.upscale(image, 8), whole)


def test_gray_is_what_equal_red_green_and_blue_would_be(upscaler: Upscaler) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (20, 17), dtype=np.uint8)
    colour = upscaler.upscale(np.repeat(gray[..., None], 3, axis=-1), 4)
    result = upscaler.upscale(gray, 4)
    assert result.shape == (80, 68)
    assert np.abs(colour.astype(int) - result[..., None]).max() <= 1


@pytest.mark.parametrize("tile", [16, 0, "auto"])
def test_tiles_do_not_show(tile: int | str) -> None:
    image = np.random.default_rng(0).random((40, 33, 4))
    whole = Upscaler.from_network(lively(), device="cpu", tile=0).upscale(image, 4)
    tiled = Upscaler.from_network(lively(), device="cpu", tile=tile).upscale(image, 4)
    seen = whole[..., 3] > 1 / 255  # where alpha vanishes, colour has no meaning
    assert np.abs(tiled - whole)[seen].max() < 1e-4  # divided by alpha
    assert np.abs(tiled - whole)[..., 3].max() < 1e-5


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 7), np.uint8),
        np.zeros((5, 7, 1), np.float64),
        np.zeros((5, 7, 2), np.uint16),
        np.zeros((5, 7, 3), np.float16),
        np.zeros((5, 7, 4), np.float32),
        np.zeros((5, 7, 3), np.uint8)[::-1, ::-1],
    ],
)
def test_arrays_keep_shape_and_dtype(upscaler: Upscaler, image: np.ndarray) -> None:
    result = upscaler.upscale(image, 2)
    assert result.shape == (10, 14, *image.shape[2:])
    assert result.dtype == image.dtype


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7), (2, 3, 5, 7), (2, 4, 5, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_keep_shape_and_dtype(upscaler: Upscaler, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    result = upscaler.upscale(torch.rand(shape).to(dtype), 2)
    assert result.shape == (*shape[:-2], 10, 14)
    assert result.dtype == dtype


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", "L"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "RGB"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("CMYK", "RGB"),
        ("I;16", "I;16"),
    ],
)
def test_pil_images_keep_their_kind(upscaler: Upscaler, mode: str, expected: str) -> None:
    image = Image.new(mode, (7, 5))
    image.info["icc_profile"] = b"profile" if mode != "CMYK" else None
    result = upscaler.upscale(image, 2)
    assert (result.mode, result.size) == (expected, (14, 10))
    assert result.info["icc_profile"] == (b"profile" if mode != "CMYK" else result.info["icc_profile"])


def test_levels_are_the_images_on_the_way(upscaler: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    levels = upscaler.upscale(image, 8, levels=True)
    assert [level.shape for level in levels] == [(12, 18, 3), (24, 36, 3), (48, 72, 3)]
    assert np.array_equal(levels[0], upscaler.upscale(image, 2))
    assert np.array_equal(levels[2], upscaler.upscale(image, 8))


def test_16_bits_are_16_bits(upscaler: Upscaler) -> None:
    ramp = np.linspace(0.2, 0.8, 400).reshape(1, 400)
    image = (ramp * 65535).round().astype(np.uint16)
    result = upscaler.upscale(image, 2)
    assert len(np.unique(result)) > 400  # 8 bits have 154 levels in that range
    exact = upscaler.upscale(image / 65535, 2)
    assert np.abs(result / 65535 - exact).max() < 1 / 65535


def test_hidden_colour_does_not_bleed(upscaler: Upscaler) -> None:
    image = np.zeros((24, 24, 4), np.uint8)
    image[..., 1] = 255  # hidden green
    image[8:16, 8:16] = (200, 40, 40, 255)
    seen = upscaler.upscale(image, 2).astype(int)
    visible = seen[seen[..., 3] > 128]
    assert (visible[:, 0] > visible[:, 1]).all()
    assert (seen[:8, :8, 3] < 16).all()


@torch.inference_mode()
def test_chroma_by_the_network(upscaler: Upscaler) -> None:
    rgb = torch.rand(1, 3, 23, 37)
    planes = lively().enlarge(rgb_to_ycbcr(rgb).transpose(0, 1), 4).transpose(0, 1)
    enlarged = Upscaler.from_network(lively(), device="cpu", chroma="network").upscale(rgb, 4)
    assert (enlarged - ycbcr_to_rgb(planes).clamp(0, 1)).abs().max().item() < 1e-5
    assert (enlarged - upscaler.upscale(rgb, 4)).abs().max().item() > 1e-3
    with pytest.raises(ConfigError, match="`chroma` must be bicubic or network, got 'guided'"):
        Upscaler.from_network(lively(), device="cpu", chroma="guided")


def test_opaque_alpha_stays_opaque_and_costs_nothing(upscaler: Upscaler) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    image[..., 3] = 255
    result = upscaler.upscale(image, 4)
    assert (result[..., 3] == 255).all()
    assert np.array_equal(result[..., :3], upscaler.upscale(np.ascontiguousarray(image[..., :3]), 4))
    assert Recoloring(WholePicture(image), [], arrays=torch).planes.take(0, 9).shape == (1, 1, 9, 11)


def test_self_ensemble_commutes_with_flips_and_turns(upscaler: Upscaler) -> None:
    image = torch.rand(1, 14, 19)
    plain = upscaler.upscale(image, 4)
    together = upscaler.upscale(image, 4, self_ensemble=True)
    turned = upscaler.upscale(image.transpose(-1, -2).flip(-1), 4, self_ensemble=True)
    assert (turned.flip(-1).transpose(-1, -2) - together).abs().max().item() < 1e-5
    assert (plain - together).abs().max().item() > 1e-4


def test_progress_reaches_one(upscaler: Upscaler) -> None:
    shares = list[float]()
    upscaler.enlarge(Picture(np.zeros((40, 40, 3), np.uint8)), 4, on_progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) == 9 + 25
    assert shares[-1] == pytest.approx(1)


def test_a_network_that_does_not_repeat_a_step_is_run_as_a_whole() -> None:
    class Direct(DirectNetwork):
        receptive_radius = 2

        def forward(self, lr: Tensor) -> Tensor:
            return bicubic_upscale(lr, self.scale)

    image = torch.rand(1, 30, 21)
    result = Upscaler.from_network(Direct(scale=4), device="cpu", tile=16).upscale(image, 4, levels=True)
    assert len(result) == 1
    assert (result[0] - bicubic_upscale(image[None], 4)[0].clamp(0, 1)).abs().max().item() < 1e-5


def test_from_pretrained_takes_a_file_and_names_what_is_released(tmp_path: Path) -> None:
    save_network(tmp_path / "net.safetensors", lively())
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    loaded = Upscaler.from_pretrained(tmp_path / "net.safetensors", device="cpu").upscale(image, 2)
    assert np.array_equal(loaded, Upscaler.from_network(lively(), device="cpu").upscale(image, 2))
    with pytest.raises(CheckpointError, match="released: "):
        Upscaler.from_pretrained("no_such_model")


@pytest.mark.parametrize(
    ("image", "scale", "message"),
    [
        ("photo.jpg", 2, "must be a PIL image, an array or a tensor, got str"),
        (np.zeros((4, 4), np.int32), 2, "got int32"),
        (np.zeros((4, 4), bool), 2, "got bool"),
        (np.zeros((3, 4, 4, 3), np.uint8), 2, "must have shape"),
        (np.zeros((4, 4, 5), np.uint8), 2, "must have shape"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), 2, "divide 8-bit values"),
        (torch.zeros(4, 4), 2, "must have shape"),
        (torch.zeros(0, 3, 4, 4), 2, "must have shape"),
        (np.zeros((4, 4), np.uint8), 1, "`scale` must be a number above 1 and at most 16, got 1"),
        (np.zeros((4, 4), np.uint8), 0.5, "above 1 and at most 16, got 0.5"),
        (np.zeros((4, 4), np.uint8), 17, "above 1 and at most 16, got 17"),
        (np.zeros((4, 4), np.uint8), "4", "`scale` must be a number, got '4'"),
        (np.zeros((4, 4), np.uint8), True, "`scale` must be a number, got True"),
        (np.zeros((4, 4), np.uint8), math.nan, "above 1 and at most 16, got nan"),
    ],
)
def test_wrong_arguments_are_named(upscaler: Upscaler, image: object, scale: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        upscaler.upscale(image, scale)  # type: ignore[call-overload]


@pytest.mark.parametrize("image", [np.full((2, 2), np.nan), np.full((2, 2), 255.0), np.zeros((0, 4, 3), np.uint8)])
def test_wrong_pixels_are_named(upscaler: Upscaler, image: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"in \[0, 1\]|at least one pixel"):
        upscaler.upscale(image, 2)


def test_a_result_that_memory_cannot_hold_is_an_error(upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", fails)
    with pytest.raises(OutOfMemoryError, match="must hold the result, 8x8"):
        upscaler.upscale(np.zeros((4, 4, 3), np.uint8), 2)


def test_bands_cover_the_picture_and_tell_the_progress() -> None:
    shares: list[float] = []
    upscaler = Upscaler.from_network(lively(), device="cpu")
    picture = Picture(pixels=np.random.default_rng(0).integers(0, 256, (3000, 20, 3), dtype=np.uint8))
    (result,) = upscaler.enlarge(picture, 2, on_progress=shares.append)
    assert result.pixels.shape == (6000, 40, 3)
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_error_in_bands_that_is_not_about_memory_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler = Upscaler.from_network(lively(), device="cpu")

    def broken(lr: Tensor, *, last: bool) -> Tensor:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(upscaler.engine, "streamed", lambda *_, **__: Streamed(broken, rows=9, ahead=0))
    with pytest.raises(RuntimeError, match="size mismatch"):
        upscaler.upscale(np.zeros((9, 9), np.uint8), 2)


def test_only_the_experimental_network_comes_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Upscaler.from_pretrained("prosrn_light")
    assert not caplog.records
    Upscaler.from_pretrained("prosrgan")
    assert "prosrgan is experimental" in caplog.text
