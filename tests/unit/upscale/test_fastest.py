"""Which engine `auto` takes, with engines that take as long as they are told."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from prosr_lightning.errors import MissingDependencyError
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.upscale import fastest, opening
from prosr_lightning.upscale.fastest import fastest_engine
from prosr_lightning.upscale.upscaler import Upscaler

Planes = npt.NDArray[np.float32]
Choose = Callable[..., str]


class Slow:
    """An engine of nearest neighbours that waits."""

    arrays = np

    def __init__(self, seconds: float, halo: int = 0, device: str = "cpu", *, adversarial: bool = False) -> None:
        self.seconds, self.halo, self.device, self.calls = seconds, halo, device, 0
        self.adversarial = adversarial

    def enlarge(self, window: Planes, factor: int, *, exact: bool) -> Planes:
        self.calls += 1
        time.sleep(self.seconds)
        return window.repeat(factor, -1).repeat(factor, -2)

    def streamed(self, factor: int, *, count: int, width: int) -> None:
        return None

    def passes(self, scale: int) -> list[tuple[int, int]]:
        return [(2, self.halo)] * (scale.bit_length() - 1)

    def bytes_per_pixel(self, factor: int) -> int:
        return 1 << 20


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choose:
    """Return a function that takes engines by name and returns the choice."""
    (tmp_path / "weights").write_bytes(b"a network")
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "prosr_lightning"))
    monkeypatch.setattr(fastest, "version", lambda name: "1.0")

    def choose(engines: dict[str, Slow], *, threads: int | None = None, weights: str = "weights") -> str:
        def make(name: str) -> Slow:
            if name not in engines:
                raise MissingDependencyError(f"{name} needs another package")
            return engines[name]

        monkeypatch.setattr(fastest.importlib.util, "find_spec", lambda name: name in ("torch", "ncnn", "openvino"))
        monkeypatch.setattr(fastest, "default_engine", lambda: "torch")
        return fastest_engine(make, tmp_path / weights, threads=threads)

    return choose


def test_the_fastest_is_taken_told_and_kept(choose: Choose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engines = {"torch": Slow(0.02), "openvino": Slow(0.04), "ncnn": Slow(0.002)}
    assert choose(engines) == "ncnn"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("Measured the engines, once: ncnn ")
    assert record.message.endswith("; taking ncnn.")
    (kept,) = json.loads((tmp_path / "prosr_lightning" / "engines.json").read_text()).items()
    assert kept[1] == "ncnn"
    assert "torch 1.0, openvino 1.0, ncnn 1.0, all threads" in kept[0]
    calls = engines["ncnn"].calls
    assert choose({}) == "ncnn"  # none is made again
    assert engines["ncnn"].calls == calls


def test_the_default_stays_where_another_gains_less_than_a_tenth(choose: Choose) -> None:
    assert choose({"torch": Slow(0.05), "ncnn": Slow(0.049)}) == "torch"


def test_the_borders_of_tiles_count(choose: Choose) -> None:
    # of 256 MiB at 1 MiB for a pixel: tiles of 16, the smallest, with 16 around each
    assert choose({"torch": Slow(0.03), "ncnn": Slow(0.01, halo=16)}) == "torch"


@pytest.mark.parametrize("change", ["threads", "network", "version"])
def test_other_circumstances_are_measured_anew(
    choose: Choose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    assert choose({"torch": Slow(0.02), "ncnn": Slow(0.002)}) == "ncnn"
    (tmp_path / "other").write_bytes(b"another network")
    if change == "version":
        monkeypatch.setattr(fastest, "version", lambda name: "2.0")
    settings = {"threads": {"threads": 1}, "network": {"weights": "other"}, "version": {}}[change]
    assert choose({"torch": Slow(0.002), "ncnn": Slow(0.02)}, **settings) == "torch"
    assert len(json.loads((tmp_path / "prosr_lightning" / "engines.json").read_text())) == 2


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", b"\xff\xfe", '{"key": 1}'])
def test_a_damaged_file_is_measured_anew(choose: Choose, tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "prosr_lightning" / "engines.json"
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for _ in range(2):
        assert choose({"torch": Slow(0.02), "ncnn": Slow(0.002)}) == "ncnn"
    assert "ncnn" in json.loads(file.read_text()).values()


def test_a_choice_that_is_no_engine_here_is_measured_anew(choose: Choose, tmp_path: Path) -> None:
    assert choose({"torch": Slow(0.02), "ncnn": Slow(0.002)}) == "ncnn"
    file = tmp_path / "prosr_lightning" / "engines.json"
    file.write_text(file.read_text().replace('"ncnn"', '"nonsense"'))
    assert choose({"torch": Slow(0.002), "ncnn": Slow(0.02)}) == "torch"


def test_a_cache_that_cannot_be_written_does_not_matter(choose: Choose, tmp_path: Path) -> None:
    (tmp_path / "prosr_lightning").write_bytes(b"a file where the folder should be")
    assert choose({"torch": Slow(0.02), "ncnn": Slow(0.002)}) == "ncnn"


def test_nothing_is_measured_without_a_choice(choose: Choose, caplog: pytest.LogCaptureFixture) -> None:
    assert choose({"ncnn": Slow(0)}) == "ncnn"  # PyTorch alone cannot run the file
    assert choose({"torch": Slow(0)}) == "torch"
    gpu = Slow(0, device="cuda:0")
    assert choose({"torch": gpu, "ncnn": Slow(0)}) == "torch"
    assert not gpu.calls
    assert not caplog.records


def test_auto_goes_through_the_upscaler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_network(tmp_path / "tiny.safetensors", Generator(depth=1, channels=4))
    asked = []
    monkeypatch.setattr(fastest, "fastest_engine", lambda make, file, **more: asked.append((file, more)) or "torch")
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    plain = Upscaler.from_pretrained(tmp_path / "tiny.safetensors", device="cpu").upscale(image, 2)
    chosen = Upscaler.from_pretrained(tmp_path / "tiny.safetensors", device="cpu", engine="auto")
    assert np.array_equal(chosen.upscale(image, 2), plain)
    assert asked == [(tmp_path / "tiny.safetensors", {"threads": None})]
    Upscaler.from_pretrained(tmp_path / "tiny.safetensors", engine="auto", precision="bfloat16")
    assert len(asked) == 1  # PyTorch alone can


def test_an_engine_of_a_distribution_with_another_name_is_told_apart_without_its_version(
    choose: Choose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "openvino":  # as onnxruntime is, of onnxruntime-gpu
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(fastest, "version", version)
    assert choose({"torch": Slow(0.02), "openvino": Slow(0.002)}) == "openvino"
    (key,) = json.loads((tmp_path / "prosr_lightning" / "engines.json").read_text())
    assert "torch 1.0, openvino, ncnn 1.0, all threads" in key


def test_a_warning_of_the_network_is_given_once_however_many_engines_are_tried(
    choose: Choose, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "ExportedEngine", lambda file, *, runtime, threads: Slow(0.001, adversarial=True))
    monkeypatch.setattr(opening, "_exported", lambda name, engine, trust: Path(engine))
    monkeypatch.setattr(fastest.importlib.util, "find_spec", lambda name: name in ("torch", "ncnn", "openvino"))
    monkeypatch.setattr(fastest, "default_engine", lambda: "torch")
    upscaler = Upscaler.from_pretrained("prosrgan", engine="auto")
    assert isinstance(upscaler.engine, Slow)
    assert upscaler.alpha == "bicubic"
    assert caplog.text.count("is experimental") == 1
