from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console

from golden.independent import crop, imresize, imresize_to, luminance, picture, psnr
from processes import started
from prosr_lightning.config import conf_dir
from prosr_lightning.errors import CheckpointError, ConfigError, DataError
from prosr_lightning.evaluate import main
from prosr_lightning.evaluate.task import EvaluateOptions, results_table, run
from prosr_lightning.imaging.degradation import Bicubic
from prosr_lightning.networks import Generator, multiply_adds_per_output_pixel
from prosr_lightning.networks.weights import load_network, save_network
from prosr_lightning.tables import terminal

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def options(tmp_path):
    """Options for a Set5 of five generated pictures, all but the source."""
    folder = tmp_path / "data" / "Set5"
    folder.mkdir(parents=True)
    for number, name in enumerate(("odd", "wide", "flat", "odd", "wide")):
        Image.fromarray(picture(name)[number:]).save(folder / f"img_{number}.png")
    return EvaluateOptions(
        data_dir=tmp_path / "data",
        output_dir=tmp_path / "out",
        benchmarks="Set5",
        scales=(2, 4),
        device="cpu",
    )


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_network(tmp_path / "small.safetensors", Generator(depth=1, channels=4))
    return str(tmp_path / "small.safetensors")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_bicubic_a_network_and_its_saved_pictures(options, weights, tmp_path):
    rows, info = run(dataclasses.replace(options, method="bicubic"))
    assert [(row.dataset, row.scale, row.num_images) for row in rows] == [("Set5", 2, 5), ("Set5", 4, 5)]
    assert (info.method, info.parameters) == ("bicubic", 0)

    saving = dataclasses.replace(options, ckpt_path=weights, save_images=True, output_dir=tmp_path / "net")
    by_network, info = run(saving)
    assert info.method == "small"
    assert info.parameters == sum(one.numel() for one in Generator(depth=1, channels=4).parameters())
    assert len(read(tmp_path / "net" / "per_image.csv")) == 10
    assert [row["psnr_db"] for row in read(tmp_path / "net" / "summary.csv")] == [
        f"{row.psnr_db:.6f}" for row in by_network
    ]

    theirs = dataclasses.replace(
        options, method="theirs", sr_dir=str(tmp_path / "net" / "images"), output_dir=tmp_path / "theirs"
    )
    by_pictures, info = run(theirs)
    assert [row.psnr_db for row in by_pictures] == pytest.approx([row.psnr_db for row in by_network], abs=1e-9)
    run_json = json.loads((tmp_path / "theirs" / "run.json").read_text())
    assert (run_json["method"], run_json["parameters"]) == ("theirs", None)
    assert read(tmp_path / "theirs" / "per_image.csv")[0]["seconds"] == ""


def test_the_table_carries_its_protocol(options):
    rows, info = run(dataclasses.replace(options, method="bicubic", protocol="standard", perceptual=["gmsd"]))
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115  # closed with the process
    console.print(terminal(results_table(rows, info)))
    console.file.close()
    text = console.export_text()
    assert "protocol standard" in text
    assert f"{rows[0].psnr_db:.2f}" in text
    assert f"{rows[1].ssim:.4f}" in text
    assert "gmsd" in text


def test_contradictions_are_named(options, weights, tmp_path):
    for changes, message in (
        ({}, "got none"),
        ({"method": "mine"}, "method=mine is only a name for what is scored; add ckpt_path"),
        ({"method": "bicubic", "ckpt_path": weights}, "got ckpt_path=.* and method=bicubic"),
        ({"sr_dir": "x", "ckpt_path": weights}, "got ckpt_path=.* and sr_dir=x"),
        ({"sr_dir": "x", "self_ensemble": True}, "`self_ensemble` has no meaning"),
        ({"sr_dir": "x", "save_images": True}, "`save_images` has no meaning"),
        ({"method": "bicubic", "device": "toaster"}, "`device` must be one that this machine has, got 'toaster'"),
        ({"method": "bicubic", "protocol": "papers"}, "`protocol` must be one of paper, standard"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(dataclasses.replace(options, **changes))
    with pytest.raises(CheckpointError, match="released weights or a file"):
        run(dataclasses.replace(options, ckpt_path="prosrm"))
    with pytest.raises(DataError, match="download set14"):
        run(dataclasses.replace(options, method="bicubic", benchmarks=["Set5", "Set14"]))
    assert not (tmp_path / "out").exists()


def test_the_configuration_spells_out_the_options():
    config = OmegaConf.load(conf_dir() / "evaluate.yaml")
    assert {"degradation": "bicubic"} in config.defaults
    assert {"peer": None} in config.defaults
    assert type(EvaluateOptions(data_dir=Path(), output_dir=Path()).degradation) is Bicubic
    keys = {str(key) for key in config} - {"defaults", "task_name"}
    fields = {field.name: field.default for field in dataclasses.fields(EvaluateOptions)}
    assert keys == fields.keys() - {"data_dir", "output_dir", "degradation", "peer"}
    for key in keys:
        value = config[key]
        plain = tuple(value) if OmegaConf.is_list(value) else value
        assert plain == fields[key], key


def test_another_program_is_a_row_of_its_own(options, tmp_path):
    def nearest(rgb, scale):
        return rgb.repeat(scale, 0).repeat(scale, 1)

    with pytest.raises(ConfigError, match="One of .*peer.* must be given, got peer and method=bicubic"):
        run(dataclasses.replace(options, peer=nearest, method="bicubic"))
    with pytest.raises(ConfigError, match="`bf16` has no meaning for another program"):
        run(dataclasses.replace(options, peer=nearest, bf16=True))
    rows, info = run(dataclasses.replace(options, peer=nearest, method="nearest", perceptual=["gmsd"]))
    assert (info.method, info.source, info.parameters) == ("nearest", None, None)
    assert [(row.scale, row.num_images) for row in rows] == [(2, 5), (4, 5)]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["method"] == "nearest"


def test_a_program_is_chosen_by_name(options, monkeypatch, tmp_path):
    calls = []

    def denoise(*arguments):
        calls.append(arguments[2])
        return arguments[0]

    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(fastNlMeansDenoisingColored=denoise))
    words = ["peer=nlmeans", "peer.strength=4", "benchmarks=Set5", "scales=[2]", f"paths.data_dir={options.data_dir}"]
    assert command(monkeypatch, tmp_path, *words) == 0
    assert calls == [4] * 5


def command(monkeypatch, tmp_path, *words):
    """Run the console command in this process and return its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate", f"paths.data_dir={tmp_path / 'data'}", "paths.log_dir=logs", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_three_times_is_four_times_brought_down(options, weights, tmp_path):
    rows, info = run(dataclasses.replace(options, ckpt_path=weights, scales=[3], rounding="none", save_images=True))
    network = load_network(weights).network
    scores = []
    for path in sorted((tmp_path / "data" / "Set5").iterdir()):
        truth = luminance(np.asarray(Image.open(path).convert("RGB")))
        truth = truth[: len(truth) // 3 * 3, : truth.shape[1] // 3 * 3]
        lr = torch.from_numpy(imresize(truth, 1 / 3) / 255)[None, None].float()
        with torch.inference_mode():
            large = network.enlarge(lr, 4)[0, 0].double().numpy() * 255
        scores.append(psnr(crop(imresize_to(large, truth.shape), 3), crop(truth, 3)))
    assert rows[0].psnr_db == pytest.approx(np.mean(scores), abs=1e-4)
    at_4x = multiply_adds_per_output_pixel(network, 4)
    assert info.multiply_adds[3] == pytest.approx(at_4x * 16 / 9)


@pytest.mark.usefixtures("options")
def test_command_line(monkeypatch, tmp_path, capsys, weights):
    words = ("method=bicubic", "protocol=paper", "benchmarks=[Set5]", "scales=[2,4,8]", "logger=csv")
    assert command(monkeypatch, tmp_path, *words) == 0
    (summary,) = (tmp_path / "logs").rglob("summary.csv")
    assert [(row["dataset"], row["scale"]) for row in read(summary)] == [("Set5", "2"), ("Set5", "4"), ("Set5", "8")]
    assert "protocol paper" in capsys.readouterr().out
    (logged,) = (tmp_path / "logs").rglob("metrics.csv")
    row = read(logged)[0]
    assert {key for key in row if key.startswith("test/")} == {
        f"test/Set5/x{scale}/{name}" for scale in (2, 4, 8) for name in ("psnr", "ssim")
    }
    assert float(row["test/Set5/x4/psnr"]) == pytest.approx(float(read(summary)[1]["psnr_db"]), abs=1e-5)

    words = (f"ckpt_path={weights}", "benchmarks=Set5", "scales=[2,16]", "protocol=standard", "border=0")
    assert command(monkeypatch, tmp_path, *words) == 1
    assert "border" in capsys.readouterr().err
    assert command(monkeypatch, tmp_path, "method=bicubic", "benchmarks=all") == 1
    assert "prosr_lightning.download set14" in capsys.readouterr().err


@pytest.mark.usefixtures("options")
def test_command_line_in_its_own_process(tmp_path, weights):
    """As a user runs it, with a self-ensemble and a scale the network was never asked for before."""
    words = [f"ckpt_path={weights}", "benchmarks=[Set5]", "scales=[8]", "self_ensemble=true", "bf16=true", "device=cpu"]
    environment = {"PROSR_DATA_DIR": str(tmp_path / "data")}
    with started("evaluate", *words, folder=tmp_path, environment=environment) as running:
        done = running.wait(timeout=200)
    assert done.returncode == 0, done.stderr
    assert "self-ensemble, features in bfloat16" in done.stdout
    (per_image,) = (tmp_path / "logs").rglob("per_image.csv")
    assert all(math.isfinite(float(row["psnr_db"])) for row in read(per_image))


MEMORY = """
import resource, sys, torch
from prosr_lightning.data.benchmarks import find_benchmarks
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.networks import Generator, count_parameters
generator = Generator()
assert count_parameters(generator) == 436113
assert len(evaluate_network(generator, find_benchmarks("Set14", sys.argv[1]), [8], PAPER)) == 14
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)  # GB; Linux counts in kilobytes
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_set14_at_8x_needs_less_than_1_5_gb(data_dir):
    if not (data_dir / "Set14").is_dir():
        pytest.skip("no Set14")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(data_dir)], env=environment, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.5


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("benchmarks=null", "`benchmarks` must name at least one, got None"),
        ("scales=null", "`scales` must name at least one, got None"),
        ("scales=[]", "`scales` must name at least one"),
        ("tile=abc", "`tile` must be auto, 0 or at least 16 pixels, got 'abc'"),
        ("self_ensemble=abc", "self_ensemble must be true or false, got 'abc'"),
    ],
)
def test_empty_and_mistyped_values_are_one_line(
    word: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate", "method=bicubic", word])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert expected in capsys.readouterr().err


@pytest.mark.usefixtures("options")
@pytest.mark.parametrize(("word", "name"), [('method="ProSRN (2x, 4x)"', "ProSRN (2x, 4x)"), ("method=vdsr", "vdsr")])
def test_a_method_is_a_name_here_though_it_is_a_choice_of_train(monkeypatch, tmp_path, weights, word, name):
    words = (word, f"ckpt_path={weights}", "benchmarks=[Set5]", "scales=[2]")
    assert command(monkeypatch, tmp_path, *words) == 0
    (info,) = (tmp_path / "logs").rglob("run.json")
    assert json.loads(info.read_text())["method"] == name
