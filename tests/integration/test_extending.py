"""What docs/extending.md promises: own parts in own files, beside an installed package that knows none of them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from project import Project

from documents import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return Project(tmp_path_factory.mktemp("extending"), files=FILES)


def test_the_page_has_a_file_for_each_part_and_the_wheel_is_what_runs(project):
    assert [name for name in FILES if name.endswith(".py")] == [
        f"my_sr/{name}.py" for name in ("networks", "losses", "data", "metrics", "degradations")
    ]
    where = project.bash("python -c 'import prosr_lightning; print(prosr_lightning.__file__)'").stdout.strip()
    assert Path(where).is_relative_to(project.installed)


def test_an_own_network_trains_is_scored_enlarges_exports_and_stands_in_the_race(project):
    train, elsewhere = COMMANDS[0], COMMANDS[1]
    printed = project.bash(train).stdout
    best = project.folder / "runs" / "tiny" / "checkpoints" / "best.ckpt"
    stored = torch.load(best, weights_only=True)["prosr"]
    assert stored["architecture"] == {"_target_": "my_sr.networks.TinyNet", "scale": 2, "channels": 8}
    with (project.folder / "runs" / "tiny" / "test" / "TinyNet (ours)" / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["dataset"], row["scale"]) == ("sample", "2")
    weights, biases = 9 * 8 + 9 * 8 * 4, 8 + 4
    race = printed[printed.index("Multiply-adds") :]
    assert re.search(rf"TinyNet \(ours\).* 2x.* {weights + biases}.* {weights // 4}\b", race), printed

    project.bash(elsewhere)
    with Image.open(project.folder / "enlarged" / "0_x2.png") as enlarged:
        assert enlarged.size == (160, 128)
    assert sorted(path.name for path in (project.folder / "exported").iterdir()) == [
        "best_rgb_x2.pt2",
        "best_step_x2.pt2",
    ]


@pytest.mark.parametrize(
    "command",
    [
        "upscale -i photographs/0.png -o refused -s 2 --model runs/tiny/checkpoints/best.ckpt",
        "export --model runs/tiny/checkpoints/best.ckpt -s 2",
        "evaluate ckpt_path=runs/tiny/checkpoints/best.ckpt benchmarks=[$PWD/photographs] scales=[2]",
        "train init_from=runs/tiny/checkpoints/best.ckpt debug=smoke budget=cpu data=sample trainer=cpu",
    ],
)
def test_a_file_alone_decides_nothing(project, command):
    """After the test above, in whose folder the checkpoint is."""
    done = project.bash(f"python -m prosr_lightning.{command}", check=False)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "Files never decide what is imported" in said
    assert "trusted_networks=[my_sr.networks.TinyNet]" in said
    assert "Traceback" not in said


def test_onnx_gives_the_same_picture(project):
    """After the first test of the network."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    weights = "--model runs/tiny/checkpoints/best.ckpt --trust my_sr.networks.TinyNet"
    done = project.bash(f"python -m prosr_lightning.export -s 2 -o onnx {weights}")  # compares with PyTorch by itself
    assert done.stdout.count("largest difference to PyTorch") == 2


@pytest.mark.parametrize("command", COMMANDS[2:], ids=lambda command: re.findall(r"runs/(\w+)", command)[-1])
def test_the_other_commands_of_the_page_work(project, command):
    done = project.bash(command)
    (run,) = set(re.findall(r"(runs/\w+)", command))
    folder = project.folder / run
    if "prosr_lightning.train" in command:
        assert (folder / "checkpoints" / "best.ckpt").is_file()
    if "second" in command:
        assert list((folder / "second").rglob("metrics.csv"))
    if "contrast" in command and "evaluate" in command:
        with (folder / "perceptual.csv").open() as file:
            (row,) = csv.DictReader(file)
        assert 0.5 < float(row["contrast"]) < 1.0, done.stdout  # bicubic loses contrast
