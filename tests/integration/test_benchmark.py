from __future__ import annotations

import json
import multiprocessing
import statistics
from pathlib import Path

import pytest
import torch

from processes import FORKS
from prosr_lightning import benchmark
from prosr_lightning.benchmark.comparing import Comparison, compare
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network

TINY = ["--rounds", "2", "--steps", "5", "--crop", "16", "--batch-size", "2", "--data-crop", "32", "--size", "24"]
TINY += ["--megapixels", "0.12", "--device", "cpu"]


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Run the command on a tiny network and return what it wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))
    save_network(tmp_path / "tiny.safetensors", Generator(depth=1, channels=4))

    def run(*words: str) -> dict:
        out = tmp_path / "result.json"
        assert benchmark.main([*words, *TINY, "-n", "tiny.safetensors", "-o", str(out)]) == 0
        return json.loads(out.read_text())

    return run


def names(section: dict) -> set[str]:
    return {one["name"] for one in section["comparisons"]}


def test_rates_are_amounts_over_time_in_turns(monkeypatch):
    clock, order = {"now": 0.0}, []
    monkeypatch.setattr("time.perf_counter", lambda: clock["now"])

    def task(name, seconds, amount):
        def run():
            order.append(name)
            clock["now"] += seconds
            return amount

        return run

    rates = compare({"a": task("a", 2.0, 6.0), "b": task("b", 4.0, 6.0)}, rounds=2)
    assert rates == {"a": (3.0, 3.0), "b": (1.5, 1.5)}
    assert order == ["a", "b"] * 3  # the first of each warms up


def test_a_ratio_is_the_median_of_the_rounds():
    one = Comparison(name="n", unit="u", measured=(2.0, 9.0, 4.0), against=(1.0, 3.0, 4.0), goal=0.9)
    assert one.ratios == (2.0, 3.0, 1.0)
    assert one.ratio == 2.0
    assert (one.to_dict()["lowest"], one.to_dict()["highest"]) == (1.0, 3.0)


def test_training_is_measured_with_everything_on(measured):
    result = measured("train")
    (one,) = result["train"]["comparisons"]
    assert one["goal"] == 0.95
    assert len(one["measured"]) == len(one["against"]) == 2
    ratios = [a / b for a, b in zip(one["measured"], one["against"], strict=True)]
    assert one["ratio"] == pytest.approx(statistics.median(ratios))
    assert all(value > 0 for value in ratios)
    assert result["hardware"]["device"] == "cpu"
    assert not {"data", "upscale"} & set(result)


def test_patches_are_measured_against_the_usual_way(measured):
    section = measured("data", "--workers", "0")["data"]
    assert names(section) == {"cutting over the usual way", "cutting, flips and pyramid over the usual way"}
    assert all(one["ratio"] > 1 for one in section["comparisons"])  # decoding a photograph for each patch is slow
    assert section["values"]["seconds to open it again"] < section["values"]["seconds to build the cache"]
    assert section["settings"]["photographs"] == 4


def test_upscaling_is_measured_against_the_machine(measured, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *arguments, **settings: (_ for _ in ()).throw(RuntimeError("no c++")))
    section = measured("upscale")["upscale"]
    assert {"eager over matrix product", "eager over convolution"} <= names(section)
    assert section["skipped"]["compiled"] == "no c++"
    assert (
        "4x over OpenCV's dnn with LapSRN's layers" in names(section) or "pip install" in section["skipped"]["OpenCV"]
    )
    assert section["values"]["cost per pixel, largest over smallest picture"] > 0
    for runtime in ("onnxruntime", "openvino"):
        assert f"{runtime} over convolution" in names(section) or "not installed" in section["skipped"][runtime]


def test_networks_are_timed_beside_each_other(measured, tmp_path):
    save_network(tmp_path / "wide.safetensors", Generator(depth=8, channels=32))
    section = measured("networks", "--beside", "wide.safetensors")["networks"]
    comparison, *arithmetic = section["comparisons"]
    assert comparison["name"] == "time of wide.safetensors, that of tiny.safetensors being 1"
    names_of_arithmetic = [
        f"{name}.safetensors over a 3x3 convolution of {width}" for name, width in (("tiny", 4), ("wide", 32))
    ]
    assert [share["name"] for share in arithmetic] == names_of_arithmetic
    assert all(share["ratio"] > 0 for share in arithmetic)
    assert comparison["ratio"] > 1  # it has a hundred times the arithmetic
    assert len(comparison["measured"]) == 2


def test_networks_are_timed_by_each_engine(measured):
    section = measured("networks", "--engines", "onnxruntime", "openvino", "ncnn", "opencv")["networks"]
    for name in ("onnxruntime", "openvino", "ncnn", "opencv"):
        timed = f"time of tiny.safetensors by {name}, that of tiny.safetensors being 1"
        assert timed in names(section) or "not installed" in section["skipped"][f"tiny.safetensors by {name}"]
    if not section["skipped"]:
        assert "time of FSRCNN's layers by opencv, that of tiny.safetensors being 1" in names(section)
        assert "tiny.safetensors by ncnn over a 3x3 convolution of 4" in names(section)


def test_files_are_measured_from_disk_to_disk(measured, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: FORKS)  # six processes that import torch otherwise
    result = measured("files", "--scale", "2", "--ext", "tif", "--threads", "1", "--engines", "onnxruntime")["files"]
    assert result["settings"]["scale"] == 2
    values = result["values"]
    assert 0 < values["MiB above the started program, 0.12 MP at 2x"] < 500
    sizes = [values[f"processor seconds, {megapixels:g} MP at 2x"] for megapixels in (0.0075, 0.03, 0.12)]
    assert all(seconds > 0 for seconds in sizes)
    assert values["processor seconds for a pixel, 0.12 MP over 0.0075 MP"] == pytest.approx(sizes[2] / sizes[0] / 16)
    assert values["processor seconds, 64 pictures of 128x128"] > 0
    by_engine = "0.12 MP at 2x by onnxruntime"
    assert values.get(f"seconds, {by_engine}", 0) > 0 or "pip install" in result["skipped"][by_engine]
    assert values["processor seconds with chroma by the network, over those without"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["train", "--crop", "33"], "--crop must be even, got 33; choose 34"),
        (["train", "--batch-size", "-1"], "--batch-size must be at least 1, got -1"),
        (["data", "--photographs", "nowhere"], "nowhere"),
        (["upscale", "-n", "prosrm"], "prosrm"),
        (["upscale", "--megapixels", "0"], "must have more than 0.1 megapixels, got 0.0"),
        (["upscale", "--device", "toaster"], "toaster"),
        (
            ["upscale", "--beside", "prosrn_light"],
            "--beside must name networks, or --engines engines, to compare with prosrn",
        ),
        (["networks"], "got none in networks"),
        (["files", "--beside", "prosrn"], "in the part networks, and only there, got ['prosrn'] in files"),
        (["files", "--engines", "opencv"], "--engines of files must be of torch, onnxruntime, openvino, ncnn, got"),
    ],
)
def test_a_wrong_word_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    part, *rest = words
    assert benchmark.main([part, *TINY, *rest]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert not Path("logs").exists()
