from __future__ import annotations

import gc
import json
import statistics
import sys
from io import StringIO

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from prosr_lightning import benchmark
from prosr_lightning.benchmark import growth, peer, task, upscaling
from prosr_lightning.benchmark.comparing import Comparison, Section, compare
from prosr_lightning.benchmark.patches import Stream, UsualPatches, measure_data
from prosr_lightning.benchmark.results import assemble, table
from prosr_lightning.benchmark.upscaling import measure_upscaling
from prosr_lightning.benchmark.yardstick import convolution, matrix_product
from prosr_lightning.errors import MissingDependencyError, ProSRError
from prosr_lightning.imaging.degradation import Bicubic, Noise
from prosr_lightning.networks import Generator, multiply_adds_per_output_pixel
from prosr_lightning.tables import terminal
from prosr_lightning.upscale.engines import TorchEngine
from prosr_lightning.upscale.memory import forget_peak, peak_bytes

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    now = {"seconds": 0.0}
    monkeypatch.setattr("time.perf_counter", lambda: now["seconds"])
    return now


@pytest.fixture
def no_compiler(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("backend='inductor' raised:\nInvalidCxxCompiler: none works\n\nmore")

    monkeypatch.setattr(torch, "compile", fail)


@pytest.fixture
def no_runtime(monkeypatch):
    def fail(*_, target, **__):
        raise MissingDependencyError(f"target={target} needs the package {target}, which is not installed.")

    monkeypatch.setattr(peer, "export_network", fail)


def photographs(folder, *sides):
    folder.mkdir()
    for number, side in enumerate(sides):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def check_ratios(section):
    """Compute every ratio again from the raw rates beside it."""
    for one in section["comparisons"]:
        ratios = [a / b for a, b in zip(one["measured"], one["against"], strict=True)]
        assert all(ratio > 0 for ratio in ratios)
        assert one["ratio"] == pytest.approx(statistics.median(ratios))
        assert (one["lowest"], one["highest"]) == pytest.approx((min(ratios), max(ratios)))


def test_what_comes_before_a_task_is_outside_of_its_time(clock):
    order = []

    def doing(name, seconds):
        def run():
            order.append(name)
            clock["seconds"] += seconds
            return 6.0

        return run

    tasks = {"a": doing("a", 2.0), "b": doing("b", 3.0)}
    rates = compare(tasks, rounds=2, before={"b": doing("before b", 100.0)}, warm_up=False)
    assert rates == {"a": (3.0, 3.0), "b": (2.0, 2.0)}
    assert order == ["a", "before b", "b"] * 2


def test_yardsticks_count_their_own_arithmetic():
    assert matrix_product(CPU, torch.float32, side=10)() == pytest.approx(4 * 2 * 10**3 / 1e9)
    assert convolution(CPU, torch.float32, side=10)() == pytest.approx(4 * 2 * 9 * 64 * 64 * 100 / 1e9)


def test_engines_are_fractions_of_both_yardsticks_and_of_the_better(clock, no_compiler, no_runtime, monkeypatch):
    """Each call takes a second of this clock, so that rates are amounts of work."""
    network = Generator(depth=1, channels=4)
    enlarge, streamed = TorchEngine.enlarge, TorchEngine.streamed

    def slowly(self, *arguments, **settings):
        clock["seconds"] += 2.0
        return enlarge(self, *arguments, **settings)

    def in_rows(self, *arguments, **settings):
        clock["seconds"] += 1.0
        return streamed(self, *arguments, **settings)

    def second(gflop):
        def run():
            clock["seconds"] += 1.0
            return gflop

        return run

    place = "prosr_lightning.benchmark.upscaling"
    monkeypatch.setattr(TorchEngine, "enlarge", slowly)
    monkeypatch.setattr(TorchEngine, "streamed", in_rows)
    monkeypatch.setattr(f"{place}.matrix_product", lambda *_: second(0.5))
    monkeypatch.setattr(f"{place}.convolution", lambda *_: second(0.8))
    section = measure_upscaling(network, device="cpu", size=24, largest_megapixels=0.12, rounds=2).to_dict()
    check_ratios(section)
    ratios = {one["name"]: one["ratio"] for one in section["comparisons"]}
    work = 2 * multiply_adds_per_output_pixel(network, 2) * 48 * 48 / 1e9
    assert ratios["eager over matrix product"] == pytest.approx(work / 0.5)
    assert ratios["eager, one window over matrix product"] == pytest.approx(work / 0.5 / 2)
    assert ratios["eager over convolution"] == pytest.approx(work / 0.8)
    assert ratios["eager over the better of both"] == pytest.approx(work / 0.8)
    assert 0 <= section["values"]["largest difference from PyTorch, eager"] < 1e-4
    assert section["skipped"]["compiled"] == "InvalidCxxCompiler: none works"
    for runtime, package in (("onnxruntime", "onnx"), ("openvino", "openvino")):
        assert f"{package}, which is not installed" in section["skipped"][runtime]
    assert "pip install" in section["skipped"]["OpenCV"]


def test_an_engine_that_computes_something_else_is_refused(no_compiler, no_runtime, monkeypatch):
    monkeypatch.setattr(
        upscaling, "_by_default", lambda engine, image: image.new_zeros(1, 1, *(2 * n for n in image.shape[-2:]))
    )
    with pytest.raises(ProSRError, match=r"eager must agree with PyTorch to 0.0001, got .*; report it"):
        measure_upscaling(
            Generator(depth=1, channels=4),
            device="cpu",
            size=16,
            largest_megapixels=0.12,
            rounds=1,
        )


@pytest.mark.parametrize(("power", "expected"), [(1.0, 1.0), (1.5, 5**0.5)])
def test_cost_per_pixel_of_large_pictures_is_compared_with_that_of_small_ones(clock, monkeypatch, power, expected):
    class Timed:
        def upscale(self, picture, scale):
            clock["seconds"] += (4 * picture.size) ** power / 1e6

    monkeypatch.setattr(growth.Upscaler, "from_network", lambda *_, **__: Timed())
    section = Section(name="upscale", settings={})
    growth.measure_growth(torch.nn.Identity(), CPU, largest_megapixels=2.0, rounds=2, section=section)
    result = section.to_dict()
    check_ratios(result)
    assert [one["name"] for one in result["comparisons"]] == [
        "cost per pixel, 0.5 MP over 0.1 MP",
        "cost per pixel, 2 MP over 0.1 MP",
    ]
    assert result["comparisons"][0]["ratio"] == pytest.approx(expected, rel=0.01)
    assert result["values"]["cost per pixel, dearest over cheapest picture"] == pytest.approx(
        20 ** (power - 1), rel=0.01
    )
    if power == 1.0:
        assert result["values"]["microseconds per output pixel, 2 MP"] == pytest.approx(1.0)
    assert all(result["values"][f"MiB at the peak, {size} MP"] > 0 for size in ("0.1", "0.5", "2"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of the whole process")
def test_the_peak_of_memory_is_that_since_it_was_forgotten():
    gc.collect()  # or what earlier tests left goes while this one looks
    forget_peak(CPU)
    before = peak_bytes(CPU)
    held = np.ones(1 << 26, np.uint8)
    assert peak_bytes(CPU) - before > held.size * 0.75
    del held
    forget_peak(CPU)
    assert peak_bytes(CPU) - before < (1 << 26) * 0.25


def test_batches_that_were_loaded_ahead_do_not_count():
    made = []

    def make():
        made.append(iter(range(100)))
        return made[-1]

    stream = Stream(make, workers=2)
    stream.begin()
    assert list(stream.take(3)) == [4, 5, 6]
    stream.begin()
    assert list(stream.take(1)) == [11], "a stream goes on"
    stream.end()
    stream.begin()
    assert list(stream.take(1)) == [4], "unless it was ended"


def test_the_usual_way_gives_luminance_at_both_sizes(tmp_path):
    usual = UsualPatches(photographs(tmp_path / "p", 40), crop=32, length=8, degradation=Bicubic())
    lr, hr = usual[3]
    assert (lr.shape, hr.shape) == ((1, 16, 16), (1, 32, 32))
    assert 0 <= float(hr.min()) < float(hr.max()) <= 1
    assert torch.nn.functional.interpolate(hr[None], scale_factor=0.5, mode="area")[0] == pytest.approx(lr, abs=0.3)


def test_a_degradation_is_that_of_both_ways(tmp_path):
    """A patch of the usual way is the degraded cut of the photograph, its truth the cut itself."""
    files = photographs(tmp_path / "p", 64, 48)
    settings = {"crop": 32, "batch_size": 2, "batches": 2, "rounds": 1}
    section = measure_data(files, tmp_path / "cache", degradation=Noise(sigma=20, clean=0), **settings)
    assert section.settings["degradation"] == "noise sigma=20"
    assert section.values["megabytes of the cache"] == pytest.approx(3 * (64 * 64 + 48 * 48) / 1e6, rel=0.1)
    noisy, clean = (
        UsualPatches(files, crop=32, length=8, degradation=degradation)
        for degradation in (Noise(sigma=20, poisson=0, gray=1, clean=0), Noise(sigma=0, clean=0))
    )
    assert torch.equal(noisy[3][1], clean[3][1])
    assert (noisy[3][0] - clean[3][0]).std().item() == pytest.approx(20 / 255 * 219 / 255, rel=0.2)


@pytest.mark.parametrize("workers", [0, 1])
def test_photographs_that_are_too_small_are_left_out_of_both_ways(tmp_path, workers):
    settings = {"crop": 32, "batch_size": 2, "workers": workers, "batches": 4, "rounds": 2}
    files = photographs(tmp_path / "p", 64, 16, 48)
    first = measure_data(files, tmp_path / "cache", **settings)
    assert first.name == ("data_processes" if workers else "data")
    assert first.values["photographs used"] == 2
    assert first.values["seconds to build the cache"] > 0
    check_ratios(first.to_dict())
    again = measure_data(files, tmp_path / "cache", **settings)
    assert "seconds to build the cache" not in again.values
    assert again.values["seconds to open it again"] > 0


def test_a_result_says_how_it_was_measured_and_the_table_shows_all_of_it():
    section = Section(name="data_processes", settings={"workers": 3})
    section.comparisons.append(Comparison(name="this over that", unit="u/s", measured=(2.0, 6.0), against=(1.0, 1.5)))
    section.values["seconds"] = 1.5
    section.skipped["other"] = "pip install 'x[y]'"
    result = json.loads(json.dumps(assemble([section], command="python -m it", device=CPU)))
    assert {"command", "date", "statistic", "hardware", "versions", "data_processes"} == set(result)
    assert result["hardware"]["threads"] == str(torch.get_num_threads())
    assert {"prosr_lightning", "python", "torch", "lightning"} <= set(result["versions"])
    console = Console(file=StringIO(), width=200)
    console.print(terminal(table(result)))
    shown = console.file.getvalue()
    for words in ("data, 3 processes", "this over that", "3.00 (2.00 to 4.00)", "4 over 1.25 u/s", "'x[y]'", "1.5"):
        assert words in shown


def test_quick_means_fewer_rounds_and_smaller_pictures(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        task, "_upscale", lambda options, *_: seen.update(vars(options)) or Section(name="upscale", settings={})
    )
    options = benchmark._parser().parse_args(["upscale", "--quick", "--device", "cpu"])
    options.words = []
    task.run(options)
    assert (seen["rounds"], seen["megapixels"]) == (3, 2.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "1"], "--steps must be at least 2, got 1; leave it out for its default."),
        (["--workers", "-1"], "--workers must be at least 0, got -1;"),
        (["--data-crop", "31"], "--data-crop must be even, got 31; choose 32."),
        (["--photographs", "nowhere"], "--photographs must be a folder of images, got nowhere, which is none; check"),
        (["--opencv-model", "none.pb"], "--opencv-model must be a file, got none.pb, which is none; check the path."),
        (["-o", "."], "--output must be a file, got the folder .; add a name"),
        (["--device", "toaster"], "`device` must be one that this machine has, got 'toaster'"),
        (["-n", "prosrm"], "prosrm"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_measured(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(["all", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert not list(tmp_path.iterdir())
