from __future__ import annotations

import dataclasses
import math
import shutil
import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from golden.independent import crop, luminance, picture, psnr
from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.errors import ConfigError, DataError, ImageError
from prosr_lightning.evaluate.running import evaluate_folder, evaluate_network
from prosr_lightning.metrics.protocol import PAPER, STANDARD, get_protocol
from prosr_lightning.networks import DirectNetwork, Generator
from prosr_lightning.runs.scores import summarise

NAMES = ("odd", "wide", "flat")


def test_every_image_is_computed_once_from_the_lr_image_of_its_scale(tiny, brightened):
    seen: list[Any] = []
    scores = evaluate_network(
        brightened, [tiny], [2, 8], PAPER, progress=lambda done, total: seen.append((done, total))
    )
    shapes = {"odd": {2: (33, 42), 8: (8, 10)}, "wide": {2: (32, 48), 8: (8, 12)}, "flat": {2: (36, 32), 8: (9, 8)}}
    estimates = [((1, 1, 64, 64), scale) for scale in (2, 8)]  # of memory, once for each factor
    assert sorted(type(brightened).calls) == sorted(
        estimates + [((1, 1, *shapes[name][scale]), scale) for name in NAMES for scale in (2, 8)]
    )
    assert [(one.scale, one.image) for one in scores] == [(scale, name) for scale in (2, 8) for name in NAMES]
    assert seen == [(number, 6) for number in range(1, 7)]
    assert all(one.seconds > 0 for one in scores)


def test_the_callers_network_is_left_as_it_is(tiny, brightened):
    brightened.train()
    evaluate_network(brightened, [tiny], [2], PAPER)
    assert brightened.training
    assert brightened.amount.grad is None


def test_self_ensemble_is_the_mean_of_the_eight_symmetries(tiny):
    torch.manual_seed(0)
    generator = Generator(depth=1, channels=4)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    single = evaluate_network(generator, [tiny], [4], PAPER)
    ensemble = evaluate_network(generator, [tiny], [4], PAPER, self_ensemble=True)
    assert all(abs(a.psnr_db - b.psnr_db) > 1e-4 for a, b in zip(single, ensemble, strict=True))

    class Averaged(DirectNetwork):
        receptive_radius = 8

        def forward(self, lr):
            turns = [torch.rot90(generator.enlarge(torch.rot90(lr, k, (2, 3)), 4), -k, (2, 3)) for k in range(4)]
            flipped = lr.flip(-1)
            turns += [
                torch.rot90(generator.enlarge(torch.rot90(flipped, k, (2, 3)), 4), -k, (2, 3)).flip(-1)
                for k in range(4)
            ]
            return torch.stack(turns).mean(0)

    expected = evaluate_network(Averaged(scale=4), [tiny], [4], PAPER)
    for a, b in zip(ensemble, expected, strict=True):
        assert a.psnr_db == pytest.approx(b.psnr_db, abs=1e-3)
    with pytest.raises(ConfigError, match="self_ensemble"):
        evaluate_network(None, [tiny], [4], PAPER, self_ensemble=True)


def test_bfloat16_changes_features_and_not_the_image(tiny):
    torch.manual_seed(0)
    bilinear, generator = Generator(depth=1, channels=4), Generator(depth=1, channels=4)
    with torch.no_grad():
        generator.fusion.weight.normal_(std=0.05)
    for network, differs in ((bilinear, False), (generator, True)):
        exact = evaluate_network(network, [tiny], [4], PAPER)
        narrow = evaluate_network(network, [tiny], [4], PAPER, bf16=True)
        difference = max(abs(a.psnr_db - b.psnr_db) for a, b in zip(exact, narrow, strict=True))
        assert (difference > 0) == differs
        assert difference < 0.3
    with pytest.raises(ConfigError, match="`bf16` must be false for bicubic"):
        evaluate_network(None, [tiny], [4], PAPER, bf16=True)


def test_tiles_give_the_result_of_the_whole(tiny):
    torch.manual_seed(0)
    generator = Generator(depth=2, channels=4)
    protocol = get_protocol("paper", rounding="none")
    whole = evaluate_network(generator, [tiny], [2, 4], protocol, tile=0)
    tiled = evaluate_network(generator, [tiny], [2, 4], protocol, tile=16)
    for a, b in zip(whole, tiled, strict=True):
        assert (a.psnr_db, a.ssim) == pytest.approx((b.psnr_db, b.ssim), abs=1e-5)


@pytest.mark.parametrize("protocol", [PAPER, STANDARD], ids=lambda protocol: protocol.name)
def test_saved_results_score_as_the_network_did(tiny, tmp_path, brightened, protocol):
    scores = evaluate_network(brightened, [tiny], [2, 4], PAPER, save_dir=tmp_path / "sr")
    assert len(list((tmp_path / "sr" / "Tiny" / "x4").glob("*.png"))) == 3
    again = evaluate_folder(tmp_path / "sr", [tiny], [2, 4], protocol)
    assert all(math.isnan(one.seconds) for one in again)
    if protocol is PAPER:
        assert [one.psnr_db for one in again] == pytest.approx([one.psnr_db for one in scores], abs=1e-9)
        assert [one.ssim for one in again] == pytest.approx([one.ssim for one in scores], abs=1e-9)
    else:
        assert [one.psnr_db for one in again] != [one.psnr_db for one in scores]


def test_wrongly_sized_missing_or_shared_results_are_named(tiny, tmp_path):
    folder = tmp_path / "sr"
    folder.mkdir()
    for name in NAMES:
        height, width = (side - side % 4 for side in picture(name).shape[:2])
        Image.fromarray(picture(name)[:height, :width]).save(folder / f"{name}.png")
    assert all(math.isinf(one.psnr_db) for one in evaluate_folder(folder, [tiny], [4], PAPER))
    shutil.copytree(tmp_path / "Tiny", tmp_path / "Other")
    other = Benchmark(name="Other", images=tuple(tmp_path / "Other" / image.name for image in tiny.images))
    with pytest.raises(DataError, match="folder for each benchmark"):
        evaluate_folder(folder, [tiny, other], [4], PAPER)
    Image.fromarray(picture("odd")).save(folder / "odd.png")
    with pytest.raises(ImageError, match=r"sr.odd\.png must be 84x64 pixels .* got 85x67"):
        evaluate_folder(folder, [tiny], [4], PAPER)
    (folder / "flat.png").unlink()
    with pytest.raises(DataError, match=r"found none for flat\.png"):
        evaluate_folder(folder, [tiny], [4], PAPER)


def test_given_lr_images_are_used_and_checked(tiny, tmp_path, brightened):
    folder = tmp_path / "lr" / "x4"
    folder.mkdir(parents=True)
    for name in NAMES:
        height, width = (side // 4 for side in picture(name).shape[:2])
        Image.new("RGB", (width, height), (255, 255, 255)).save(folder / f"{name}.png")
    given = dataclasses.replace(tiny, lr_dir=tmp_path / "lr")
    one = evaluate_network(None, [given], [4], PAPER)[0]
    truth = crop(luminance(picture("odd")[:64, :84]), 4)
    assert one.psnr_db == pytest.approx(psnr(np.full_like(truth, 235), truth), abs=1e-6)
    Image.new("RGB", (9, 9)).save(folder / "wide.png")
    with pytest.raises(ImageError, match=r"x4.wide\.png must be 24x16 pixels for wide\.png at 4x, got 9x9"):
        evaluate_network(None, [given], [4], PAPER)


def test_unusual_files_are_scored_or_named(tiny, tmp_path):
    gray = Image.fromarray(picture("odd")).convert("L")
    gray.save(tiny.images[0])
    score = evaluate_network(None, [tiny], [2], PAPER)[0]
    gray.convert("RGB").save(tiny.images[0])
    assert evaluate_network(None, [tiny], [2], PAPER)[0] == dataclasses.replace(score, seconds=pytest.approx(0, abs=60))
    gray.convert("CMYK").save(tmp_path / "ink.tif")
    small = Image.new("RGB", (20, 20))
    small.save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"ink\.tif must be RGB or gray, got CMYK"):
        evaluate_network(None, [Benchmark(name="Ink", images=(tmp_path / "ink.tif",))], [2], PAPER)
    for scale, reason in ((6, "SSIM needs 7x7"), (8, "border"), (32, "at least 32x32")):
        with pytest.raises(ImageError, match=rf"small\.png cannot be scored at {scale}x: .*{reason}"):
            evaluate_network(None, [Benchmark(name="Small", images=(tmp_path / "small.png",))], [scale], PAPER)


def test_wrong_networks_and_arguments_are_named(tiny, brightened):
    with pytest.raises(ConfigError, match="`scale` must be 2 or 4 or 8 for this Brightened"):
        evaluate_network(brightened, [tiny], [9], PAPER)
    with pytest.raises(ConfigError, match="`chroma` must be bicubic or network, got 'guided'"):
        evaluate_network(brightened, [tiny], [2], PAPER, chroma="guided")
    with pytest.raises(ConfigError, match="`chroma` must be bicubic for bicubic, got 'network'"):
        evaluate_network(None, [tiny], [2], PAPER, chroma="network")
    for scales in ([], [1], [2, 2], [2.0], [True]):
        with pytest.raises(ConfigError, match="scales"):
            evaluate_network(None, [tiny], scales, PAPER)
    with pytest.raises(ConfigError, match="`perceptual` must be from gmsd"):
        evaluate_network(None, [tiny], [2], PAPER, measures=["vgg"])
    with torch.no_grad():
        brightened.amount.fill_(math.nan)
    with pytest.raises(ConfigError, match=r"odd\.png at 2x must be finite"):
        evaluate_network(brightened, [tiny], [2], PAPER)
    brightened.enlarge = lambda lr, scale: lr
    with pytest.raises(ConfigError, match=r"Brightened must make an image \(1, 1, 66, 84\)"):
        evaluate_network(brightened, [tiny], [2], PAPER)


def test_perceptual_measures(tiny):
    two, four = summarise(evaluate_network(None, [tiny], [2, 4], PAPER, measures=["gmsd", "high_frequency"]))
    assert 0 < two.perceptual["gmsd"] < four.perceptual["gmsd"]
    assert 0 < four.perceptual["high_frequency"] < two.perceptual["high_frequency"] < 1


def test_a_function_of_ones_own_is_a_measure_without_the_border_of_the_tables(tiny, tmp_path, monkeypatch):
    (tmp_path / "own_measures.py").write_text(
        "def decibels(sr, hr):\n    return -10 * (sr - hr).square().mean().log10()\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    scores = evaluate_network(None, [tiny], [2, 4], PAPER, measures=["own_measures.decibels", "gmsd"])
    assert [list(one.perceptual) for one in scores] == [["decibels", "gmsd"]] * 6
    for one in scores:
        assert one.perceptual["decibels"] == pytest.approx(one.psnr_db, abs=1e-9)
    with pytest.raises(ConfigError, match="measures of different names"):
        evaluate_network(None, [tiny], [2], PAPER, measures=["own_measures.decibels", "own_measures.decibels"])
    with pytest.raises(
        ConfigError, match="`perceptual` must be from gmsd.*, or the path of a function.*'own_measures.none'"
    ):
        evaluate_network(None, [tiny], [2], PAPER, measures=["own_measures.none"])


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("psnr_db", "return 1.0", "none of them one of dataset, scale, image, psnr_db"),
        ("image", "return sr - hr", "must hold measures of different names"),
        ("gmsd", "return 1.0", "must hold measures of different names"),
        ("whole", "return sr - hr", "must name functions that return one number; own_wrong.whole does not"),
        ("empty", "return None", "own_wrong.empty does not"),
    ],
)
def test_a_measure_that_would_be_another_column_or_is_no_number_is_refused(
    tiny, tmp_path, monkeypatch, name, code, message
):
    (tmp_path / "own_wrong.py").write_text(f"def {name}(sr, hr):\n    {code}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_wrong", raising=False)
    with pytest.raises(ConfigError, match=message):
        evaluate_network(None, [tiny], [2], PAPER, measures=["gmsd", f"own_wrong.{name}"])


def test_a_measure_takes_two_images_and_changes_neither(tiny, tmp_path, monkeypatch):
    (tmp_path / "own_greedy.py").write_text(
        "def alone(sr):\n    return 1.0\n\n\n"
        "def greedy(sr, hr):\n    return sr.zero_().sum() + hr.zero_().sum()\n\n\n"
        "def brightness(sr, hr):\n    return sr.mean() + hr.mean()\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, *_ = evaluate_network(None, [tiny], [2], PAPER, measures=["own_greedy.greedy", "own_greedy.brightness"])
    assert first.perceptual["brightness"] > 0.1
    with pytest.raises(ConfigError, match=r"`perceptual` must be a function of \(sr, hr\), got one of \(sr\)"):
        evaluate_network(None, [tiny], [2], PAPER, measures=["own_greedy.alone"])
