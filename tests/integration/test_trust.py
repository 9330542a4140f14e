"""`--trust` of every command that reads weights files: a network of one's own is used if and only if it is named."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
import torch
from skimage import data

from prosr_lightning.evaluate import illustrate
from prosr_lightning.imaging.io import write_rgb
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks.weights import save_network
from prosr_lightning.runs.scores import ImageScore, RunInfo, write_results
from prosr_lightning.upscale import web

_OWN = "from prosr_lightning.networks import Generator\n\n\nclass Tiny(Generator):\n    pass\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A network whose class stands in a module that no command knows, as weights and as a checkpoint of training."""
    (tmp_path / "own_tiny.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    network = importlib.import_module("own_tiny").Tiny(depth=1, channels=2)
    save_network("own.safetensors", network)
    state = {f"generator.{key}": value for key, value in network.state_dict().items()}
    config = {"seed": 1, "levels": [2]}
    content = {"architecture": network.architecture, "config": config, "steps_done": 1}
    torch.save({"state_dict": state, "prosr": content}, "own.ckpt")
    write_rgb("a.png", data.astronaut()[:64, :64])
    score = ImageScore(dataset="Set5", scale=2, image="a", psnr_db=30.0, ssim=0.9)
    write_results("scores", [score], RunInfo(method="mine", protocol=PAPER, source="own.ckpt"))
    yield
    sys.modules.pop("own_tiny", None)


def _illustrate(*trust):
    return illustrate.main(["-i", "a.png", "-o", "out.png", "-s", "2", "-n", "own.safetensors", *trust])


def _web(*trust):
    return web.main(["--model", "own.safetensors", *trust])


def _release(*trust):
    release = importlib.import_module("prosr_lightning.release")
    words = ["own.ckpt", "mine", "--scores", "scores", "--training-data", "x"]
    return release.main([*words, *trust])


def _benchmark(*trust):
    benchmark = importlib.import_module("prosr_lightning.benchmark")
    words = ["networks", "--rounds", "2", "--size", "16", "--device", "cpu", "-o", "speed.json"]
    return benchmark.main([*words, "-n", "own.safetensors", "--beside", "own.ckpt", *trust])


@pytest.mark.parametrize("command", [_illustrate, _web, _release, _benchmark])
def test_a_network_of_ones_own_is_used_only_if_it_is_named(own, monkeypatch, tmp_path, capsys, command):
    monkeypatch.setattr(web, "_serve", lambda page, **place: None)
    monkeypatch.setattr(web, "build_page", lambda models, load: load(next(iter(models.values()))))
    release = importlib.import_module("prosr_lightning.release.task")
    monkeypatch.setattr(
        release.release, "__kwdefaults__", release.release.__kwdefaults__ | {"folder": tmp_path / "new"}
    )
    before = set(tmp_path.iterdir())
    assert command() == 1
    assert "Files never decide what is imported" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before
    assert command("--trust", "own_tiny.Tiny") == 0, capsys.readouterr().err
    if command is _benchmark:
        comparison, *_ = json.loads((tmp_path / "speed.json").read_text())["networks"]["comparisons"]
        assert comparison["name"] == "time of own.ckpt, that of own.safetensors being 1"
