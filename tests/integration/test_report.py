from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from processes import started
from prosr_lightning import report
from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import read_rgb
from prosr_lightning.metrics.protocol import PAPER, STANDARD
from prosr_lightning.report import parse_words
from prosr_lightning.report.figures import figure_charts
from prosr_lightning.report.painting import make_figure
from prosr_lightning.runs.scores import ImageScore, RunInfo, write_results


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A training run of ProSRN, scored beside bicubic."""
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(
        "seed: 0\ndepth: 10\nlevels: [2, 4]\nmodel:\n  _target_: prosr_lightning.lit.prosrn.LitProSRN\n"
        "  generator:\n    _target_: prosr_lightning.networks.Generator\n    depth: ${depth}\n"
    )
    (folder / "csv").mkdir()
    (folder / "csv" / "metrics.csv").write_text("step,val/psnr\n100,30\n200,31\n")
    for method, psnr_db in (("bicubic", 26.1), ("prosrn", 27.5)):
        scores = [
            ImageScore(dataset="Set14", scale=4, image="a", psnr_db=psnr_db + shift, ssim=0.7, seconds=0.1)
            for shift in (-1, 1)
        ]
        write_results(folder / "test" / method, scores, RunInfo(method=method, protocol=PAPER))
    return folder


def _main(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["report", *words])
    return report.main()


def test_the_command_prints_the_table(scored: Path, tmp_path: Path):
    with started("report", "table=6", f"runs=[{scored}]", folder=tmp_path) as command:
        done = command.wait(timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("**Table 6 of the paper.**")
    assert "Protocol paper: Y of BT.601" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("| ProSRN (Ours 2x,4x) | 4x |"))
    assert row.split(" | ")[4:6] == ["**28.24** / **0.7688**", "**27.50** / **0.7000** (-0.74)"]
    assert row.split(" | ")[3] == "not run"


def test_a_file_is_written_whole(scored: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "tables" / "six.tex"
    assert _main(["format=latex", f"out={out}", "table=6", f"runs=[{scored}]"], monkeypatch) == 0
    assert capsys.readouterr().out == f"Table: {out}\n"
    assert r"ProSRN (Ours 2x,4x) & 4x" in out.read_text()
    assert list(out.parent.iterdir()) == [out]


def test_mixed_protocols_end_with_one_line(
    scored: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    score = ImageScore(dataset="Set14", scale=4, image="a", psnr_db=27.0, ssim=0.7)
    write_results(tmp_path / "other", [score], RunInfo(method="theirs", protocol=STANDARD))
    out = tmp_path / "table.md"
    assert _main(["table=6", f"runs=[{scored}, {tmp_path / 'other'}]", f"out={out}"], monkeypatch) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: The runs of one table or figure must have the same protocol, got")
    assert captured.err.count("\n") == 1
    assert not out.exists()


def test_help_and_no_words(monkeypatch, capsys: pytest.CaptureFixture[str]):
    assert _main(["--help"], monkeypatch) == 0
    assert _main([], monkeypatch) == 1
    assert capsys.readouterr().out.count("table=N") == 2


def test_words():
    words = ["table=4", 'runs=[a/b=c, ProSRN (2x, 4x)=x y, "A,B"=d]', "format=csv", "out=t.csv", "set=Set5", "scale=8"]
    options = parse_words(words)
    assert options.runs == ("a/b=c", "ProSRN (2x, 4x)=x y", "A,B=d")
    assert (options.table, options.format, options.out, options.set, options.scale, options.figure) == (
        "4", "csv", Path("t.csv"), "Set5", 8, None,
    )  # fmt: skip
    assert parse_words(["table=4", "runs=a"]).runs == ("a",)
    assert parse_words(["figure=9", "runs=[]"]).runs == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel=6"], "known key, got 'tabel'; the nearest valid key is 'table'"),
        (["xyz=6"], "known key, got 'xyz'; the keys are table, figure, sweep, runs, format, out, set, scale, pictures"),
        (["table"], "must be key=value, got 'table'"),
        (["table="], "`table`: invalid choice: ''"),
        (["table=7"], "`table`: invalid choice: '7'"),
        (["figure=6"], "`figure`: invalid choice: '6'"),
        (["table=6", "format=html"], "`format`: invalid choice: 'html'"),
        (["runs=[a]"], "One of table=..., figure=... and sweep=... must be given, got none"),
        (["table=6", "figure=7"], "must be given, got table and figure"),
        (["table=6", "table=5"], "`table` must be given once"),
        (["figure=8", "format=csv"], "`format` does not go with figure="),
        (["figure=8", "scale=two"], "`scale`: invalid int value: 'two'"),
    ],
)
def test_wrong_words(words: list[str], message: str):
    with pytest.raises(ConfigError) as caught:
        parse_words(words)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("figure", "takes_runs"), [("7", True), ("8", True), ("8", False), ("9", False), ("race", True)]
)
def test_figures_are_drawn(figure: str, takes_runs: bool, scored: Path, tmp_path: Path, monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    out = tmp_path / "figure.png"
    words = [f"figure={figure}", f"out={out}", *([f"runs=[{scored}]"] if takes_runs else [])]
    assert _main(words, monkeypatch) == 0
    picture = read_rgb(out)
    assert min(picture.shape[:2]) > 500
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 50  # axes, letters and colours
    assert "matplotlib.pyplot" not in sys.modules  # nobody's figures and settings are touched


def test_labels_do_not_cover_each_other():
    figure = make_figure(*figure_charts("8", []))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 7
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_curves_share_a_colour_by_depth(scored: Path):
    axes = make_figure(*figure_charts("7", [str(scored), str(scored), f"mine={scored}"])).axes[0]
    first, again, mine = axes.get_lines()
    assert first.get_color() == again.get_color() != mine.get_color()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["depth 10", "mine"]
    assert (list(first.get_xdata()), list(first.get_ydata())) == ([101, 201], [30.0, 31.0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure=9", "out=a.txt"], r"must end in \.png, \.pdf, \.svg"),
        (["figure=9", "runs=[a]"], "takes no runs"),
        (["figure=8", "set=Kodak24"], "Figure 8 has no point for Kodak24 at 4x"),
    ],
)
def test_figures_that_cannot_be(words: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        report.run(parse_words(words))
