"""Exports run in their own programs, at any size, with PyTorch's results."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prosr_lightning import export
from prosr_lightning.benchmark.upscaling import measure_networks
from prosr_lightning.errors import CheckpointError, ProSRError
from prosr_lightning.export import export_network, integers, main, task
from prosr_lightning.export.graphs import LuminanceStep, RgbChain
from prosr_lightning.export.ncnn import open_ncnn
from prosr_lightning.imaging.io import read_rgb
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks import Generator, SubPixelGenerator
from prosr_lightning.networks.weights import load_network, save_network
from prosr_lightning.upscale.upscaler import Upscaler


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    with torch.no_grad():
        network.fusion.weight.normal_(std=0.05)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(path, network)
    return path


@pytest.mark.slow
def test_torch_export_writes_a_verified_program(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-n", str(weights), "-f", "torch", "-s", "2", "-g", "rgb", "-o", str(tmp_path)]) == 0
    assert f"{tmp_path / 'tiny_rgb_x2.pt2'}: largest difference to PyTorch " in capsys.readouterr().out
    program = torch.export.load(tmp_path / "tiny_rgb_x2.pt2").module()
    image = torch.rand(1, 3, 31, 8)
    expected = Upscaler.from_pretrained(weights, device="cpu").upscale(image, 2)
    assert (program(image) - expected).abs().max().item() < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the runtimes warn of their own internals when they are imported
@pytest.mark.parametrize(
    ("target", "engine"), [("onnx", "onnxruntime"), ("onnx", "openvino"), ("openvino", "openvino"), ("ncnn", "ncnn")]
)
def test_an_exported_step_upscales_like_the_network(weights: Path, tmp_path: Path, target: str, engine: str) -> None:
    for package in ("ncnn", "pnnx") if engine == "ncnn" else ("onnx", "onnxscript", "onnxruntime", engine):
        pytest.importorskip(package)
    exported = export_network(str(weights), tmp_path, target=target, graphs=["step"])[0]
    assert exported.difference < 1e-5
    image = np.random.default_rng(0).random((40, 33, 4))
    expected = Upscaler.from_pretrained(weights, device="cpu", tile=0).upscale(image, 4)
    result = Upscaler.from_pretrained(exported.path, engine=engine, tile=16).upscale(image, 4)
    seen = expected[..., 3] > 1 / 255  # where alpha vanishes, colour has no meaning
    assert np.abs(result - expected)[seen].max() < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_engine_exports_a_network_by_itself_once(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "prosr_lightning"))
    image = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)
    expected = Upscaler.from_pretrained(weights, device="cpu").upscale(image, 4)
    for times in (1, 1):
        result = Upscaler.from_pretrained(weights, engine="onnxruntime").upscale(image, 4)
        assert np.abs(result.astype(int) - expected).max() <= 1
        assert caplog.text.count("Exporting") == times
    assert len(list(tmp_path.rglob("*.onnx"))) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("structure", ["memory", "residual", "subpixel"])
def test_ncnn_gives_the_result_of_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, structure: str) -> None:
    for package in ("ncnn", "pnnx"):
        pytest.importorskip(package)
    torch.manual_seed(0)
    network = (
        SubPixelGenerator(depth=2, channels=8) if structure == "subpixel" else Generator(structure=structure, depth=2)
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_network(tmp_path / "lively.safetensors", network)
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "prosr_lightning"))
    expected = Upscaler.from_pretrained(tmp_path / "lively.safetensors", device="cpu")
    ours = Upscaler.from_pretrained(tmp_path / "lively.safetensors", engine="ncnn", threads=1, tile=32)
    for size in ((1, 1), (1, 5), (50, 41)):
        image = np.random.default_rng(0).random((*size, 3))
        assert np.abs(ours.upscale(image, 4) - expected.upscale(image, 4)).max() < 1e-3
    (graph,) = tmp_path.rglob("*.param")
    facts = graph.with_suffix(".json").read_text()
    for damaged in (graph.with_suffix(".bin"), graph, graph.with_suffix(".json")):
        damaged.unlink()
        with pytest.raises(CheckpointError, match="export it again"):
            open_ncnn(graph)
        graph.with_suffix(".json").write_text(facts)


def test_ncnn_and_pages_have_the_step_alone(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        export.main(["-n", str(weights), "--format", "ncnn", "--graph", "rgb"])
    with pytest.raises(ProSRError, match="needs a network that repeats one 2x step, got one of x4"):
        export_network(str(weights), tmp_path, target="ncnn", graphs=["rgb"], scale=4)


def photographs(folder: Path, count: int) -> Path:
    """Make photographs of smooth shapes with edges between."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (24, 30, 3), dtype=np.uint8))
        coarse.resize((300, 270), Image.Resampling.LANCZOS).quantize(16).convert("RGB").save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_step_in_8_bits_loses_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    for package in ("onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    folder = photographs(tmp_path / "photographs", 6)
    assert main(["-n", "prosrn_light", "--int8", str(folder), "-o", str(tmp_path)]) == 0
    path = tmp_path / "prosrn_light_int8_step_x2.onnx"
    (line,) = capsys.readouterr().out.splitlines()
    after, before = (float(number) for number in re.findall(r"([\d.]+) dB", line))
    assert line.startswith(f"{path}: ")
    assert 20 < after <= before + 0.05 < after + 0.15
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    assert kinds.count("Conv") == 13
    assert kinds.count("QuantizeLinear") >= 11  # of all but the first and the last
    image = read_rgb(folder / "0.png")[:64, :50]
    expected = Upscaler.from_pretrained("prosrn_light", device="cpu").upscale(image, 2)
    result = Upscaler.from_pretrained(path, engine="onnxruntime", tile=32).upscale(image, 2)
    difference = np.abs(result.astype(int) - expected)
    assert 0 < difference.mean() < 1
    networks = {"prosrn_light": load_network("prosrn_light").network}
    section = measure_networks(networks, device="cpu", size=32, rounds=1, graphs=[path])
    assert section.comparisons[0].name == f"time of {path.name}, that of prosrn_light being 1"
    monkeypatch.setattr(integers, "_LARGEST_LOSS", -1)
    path.unlink()
    with pytest.raises(ProSRError, match="must lose at most -1 dB in 8 bits, got .* keep this network in float32"):
        integers.export_in_8_bits("prosrn_light", tmp_path, folder)
    assert not path.exists()


@pytest.mark.parametrize("count", [0, 3])
def test_8_bits_need_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    folder = photographs(tmp_path / "photographs", count)
    (folder / "notes.txt").write_text("no picture")
    for place, reason in (
        (folder, f"must hold at least four photographs of 256 pixels and more, found {count};"),
        (tmp_path / "nowhere", "must name a folder of photographs, got"),
        (folder / "notes.txt", "where a file is; give its folder"),
    ):
        assert main(["--int8", str(place)]) == 1
        assert reason in capsys.readouterr().err
    for words in (["--format", "ncnn"], ["--graph", "rgb"]):
        with pytest.raises(SystemExit):
            main(["--int8", str(folder), *words])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_opencv_runs_what_is_exported(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    torch.manual_seed(0)
    network = SubPixelGenerator(depth=2, channels=8)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_network(tmp_path / "lively.safetensors", network)
    step, rgb = (exported.path for exported in export_network(str(tmp_path / "lively.safetensors"), tmp_path, scale=4))
    references = (step, 1, LuminanceStep(network, factor=2)), (rgb, 3, RgbChain(network, scale=4))
    for path, channels, reference in references:
        for size in ((1, 1), (1, 5), (7, 1), (31, 22)):
            image = torch.rand(1, channels, *size)
            imported = cv2.dnn.readNetFromONNX(str(path))
            imported.setInput(image.numpy())
            with torch.inference_mode():
                assert np.abs(imported.forward() - reference(image).numpy()).max() < 1e-4


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 1), (9, 6)])
def test_the_mirrored_border_is_that_of_bicubic_at_every_size(weights: Path, size: tuple[int, int]) -> None:
    chain = RgbChain(load_network(weights).network, scale=4)
    chroma = torch.rand(1, 2, *size)
    assert (chain.chroma(chroma) - bicubic_upscale(chroma, 4)).abs().max() < 1e-6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_rgb_graph_has_no_operator_that_other_importers_refuse(weights: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    for package in ("onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    path = export_network(str(weights), tmp_path, graphs=["rgb"], scale=2)[0].path
    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        assert node.op_type != "Shape"
        assert node.op_type != "Slice" or constants.issuperset(node.input[1:])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_the_rgb_graph_takes_any_size(weights: Path, tmp_path: Path, target: str) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    exported = export_network(str(weights), tmp_path, target=target, graphs=["rgb"], scale=4)[0]
    assert exported.path.name == f"tiny_rgb_x4{export.FORMATS[target]}"
    assert exported.difference < 1e-5
    with pytest.raises(CheckpointError, match="names no receptive radius"):
        Upscaler.from_pretrained(exported.path, engine="openvino")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_export_is_named(tmp_path: Path, engine: str) -> None:
    pytest.importorskip(engine)
    (tmp_path / "a.onnx").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=f"a.onnx cannot be run by {engine}"):
        Upscaler.from_pretrained(tmp_path / "a.onnx", engine=engine)


def test_a_wrong_export_is_noticed(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(module: torch.nn.Module, *_: object) -> task.Run:
        return lambda image: module(image) + 1e-3

    monkeypatch.setitem(task._WRITERS, "onnx", wrong)
    with pytest.raises(ProSRError, match=r"must agree with PyTorch to 0.0001, got 1.00e-03"):
        export_network(str(weights), tmp_path)


@pytest.mark.parametrize(("target", "package"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_one_line(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str, package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    assert main(["-n", str(weights), "-f", target]) == 1
    assert capsys.readouterr().err == (
        f"error: This format needs the package {package}, which is not installed; pip install {package}.\n"
    )


def test_a_missing_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-n", "no_such_model"]) == 1
    assert capsys.readouterr().err.startswith("error: 'no_such_model' must be released weights")
