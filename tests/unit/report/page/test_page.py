from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prosr_lightning import report
from prosr_lightning.errors import ConfigError, DataError
from prosr_lightning.metrics.protocol import PAPER, STANDARD, ScoringProtocol
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.report import parse_words
from prosr_lightning.report.charts import Chart, loss_chart, metric_title, value_chart
from prosr_lightning.report.page import figures, write_page
from prosr_lightning.report.page.configurations import differing_keys, group_jobs, spread
from prosr_lightning.report.page.figures import comparable_metrics
from prosr_lightning.report.painting import Drawing
from prosr_lightning.runs.log import read_progress
from prosr_lightning.runs.record import RunRecord, read_record, write_record
from prosr_lightning.runs.scores import ImageScore, RunInfo, write_results
from prosr_lightning.runs.sweeps import COMMAND
from prosr_lightning.runs.trained import read_folders
from prosr_lightning.runs.training import read_training

HOSTILE = "<script>alert('x')</script> & $a_b$"
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Reads a page, and refuses one whose elements are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.urls: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.urls += [str(values[key]) for key in ("src", "href", "action", "data") if values.get(key)]
        self.ids += [str(values["id"])] if "id" in values else []
        if tag == "img":
            self.images.append(values)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & set(self.open):
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


Write = Callable[..., Path]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing of figures, which takes seconds, where a test is about words and numbers."""

    def draw(chart: Chart, folder: Path) -> Drawing:
        nothing = dict[str, tuple[()]](wide=(), narrow=())
        return Drawing(chart=chart, wide="<svg></svg>", narrow="", dots=nothing, png=folder / f"{chart.key}.png")

    monkeypatch.setattr(figures, "draw", draw)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


@pytest.fixture
def job(sweep: Path) -> Write:
    """Write a job of a sweep: configuration, record, log, scores and, if asked, weights of an untrained network."""

    def write(
        name: str,
        overrides: Sequence[str],
        *,
        psnr_db: float | None = 31.0,
        val: Sequence[float] = (29.0, 30.5, 30.0),
        status: str = "finished",
        error: str = "",
        protocol: ScoringProtocol = PAPER,
        dataset: str = "Set14",
        levels: tuple[int, ...] = (2,),
        depth: int = 10,
        weights: bool = False,
        columns: str = "val/Kodak24/x2/psnr",
    ) -> Path:
        folder = sweep / name
        words = dict(word.split("=", 1) for word in overrides)
        seed = int(words.get("seed", 0))
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "config.yaml").write_text(
            f"seed: {seed}\ndepth: {depth}\nlevels: {list(levels)}\ntask_name: demo_sweep\n"
            f"paths:\n  data_dir: {sweep / 'none'}\n"
            "model:\n  _target_: prosr_lightning.lit.prosrn.LitProSRN\n  generator:\n"
            f"    _target_: prosr_lightning.networks.Generator\n    depth: {depth}\n"
        )
        (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(list(overrides)))
        if val:
            (folder / "csv").mkdir()
            lines = [f"{50 * (n + 1) - 1},{value},{value}" for n, value in enumerate(val)]
            (folder / "csv" / "metrics.csv").write_text("\n".join([f"step,{columns},val/psnr", *lines]) + "\n")
        for method, value in (("bicubic", 30.34), ("ProSRN", psnr_db)):
            if psnr_db is not None and value is not None:
                score = ImageScore(dataset=dataset, scale=2, image="a", psnr_db=value, ssim=0.9)
                write_results(folder / "test" / method, [score], RunInfo(method=method, protocol=protocol))
        if weights:
            save_network(folder / "checkpoints" / "best.ckpt", Generator(depth=depth))
        record = RunRecord(
            status=status, name=f"job-{name}", overrides=tuple(overrides), task="demo_sweep", error=error, seed=seed,
            parameters=436113, layers=14, levels=levels, steps=150, seconds=600.0,
            checkpoint="checkpoints/best.ckpt", hardware={"cpu": "Test CPU", "cores": "2", "torch": "2.13"},
        )  # fmt: skip
        write_record(folder, record)
        return folder

    return write


def add_to_record(folder: Path, **changes: object) -> None:
    record = read_record(folder)
    assert record is not None
    write_record(folder, replace(record, **changes))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def row(page: Page, start: str, number: int = 0) -> list[str]:
    return [cells for cells in page.rows if cells and cells[0].startswith(start)][number]


def test_the_page_holds_the_numbers_and_needs_nothing_else(sweep: Path, job: Write):
    job("0", ["levels=x2", "seed=0"], psnr_db=33.0, val=(29.0, 31.2, 31.0))
    job("1", ["levels=x2", "seed=1"], psnr_db=33.2, val=(29.0, 31.4, 31.3))
    job("2", ["levels=x2_x4", "seed=0"], psnr_db=32.9, levels=(2, 4), val=(29.0, 30.8, 30.9))
    path = write_page([sweep], pictures=0)
    assert path == sweep / "report.html"
    page = read(path)
    assert [url for url in page.urls if not url.startswith(("#", "data:"))] == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.urls) - {"data:,"} <= {f"#{name}" for name in page.ids}
    html = path.read_text(encoding="utf-8")
    assert '<html lang="en">' in html
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    # seeds: mean, half of the range, and each alone
    assert row(page, "x2 2 seeds")[1:] == ["2", "436,113", "14", "150", "10.0", "31.30 ± 0.10"]
    assert row(page, "seed 1, job 1")[-1] == "31.40"
    assert row(page, "x2 2 seeds", 1)[1] == "33.10 ± 0.10 0.9000 +2.76"
    assert row(page, "x2_x4")[-1] == "30.90"
    # the paper's rows: the mean stands in Table 4 beside 33.18 / 0.9113
    assert "Table 4 of the paper" in page.text
    assert any(cells[1:2] == ["2x"] and "33.10 / 0.9000 (-0.08)" in cells for cells in page.rows)
    for name in ("convergence-updates", "convergence-minutes", "parameters-psnr-Set14-x2", "parameters-scale"):
        assert (sweep / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"{name}-wide-figure_1" in page.ids
    assert "Trained" in page.text
    assert "Test CPU, 2 cores, torch 2.13" in page.text


def test_bicubic_has_the_scores_of_all_jobs(sweep: Path, job: Write, undrawn: None):
    """Jobs of a race are scored at different places."""
    job("0", ["method=vdsr"], dataset="Set5")
    job("1", ["method=drrn"], dataset="Set14")
    page = read(write_page([sweep], pictures=0))
    assert row(page, "Bicubic")[1:] == ["30.34 0.9000", "30.34 0.9000"]
    assert row(page, "vdsr", 1)[1:] == ["31.00 0.9000 +0.66", "\u2013"]


def test_hostile_names_stay_text(sweep: Path, job: Write):
    job("0", [f"model.generator.fusion={HOSTILE}"], status="failed", error=HOSTILE, psnr_db=31.0)
    job("1", ["model.generator.fusion=plain"])
    html = write_page([sweep], pictures=0).read_text(encoding="utf-8")
    assert "<script>alert" not in html
    page = Page(html)
    assert HOSTILE in page.text
    assert page.text.count("alert('x')") >= 3  # tables, legend or figure, problem


def test_pictures_are_inside_and_the_slider_has_bicubic_and_the_networks(sweep: Path, job: Write, undrawn: None):
    job("0", ["depth=2"], depth=2, weights=True)
    job("1", ["depth=3"], depth=3)
    page = read(write_page([sweep], pictures=1, scale=2))
    strip = [image for image in page.images if image.get("data-label")]
    assert [image["data-label"] for image in strip] == ["bicubic", "depth 2", "original"]
    assert all(str(image["src"]).startswith("data:image/png;base64,iVBOR") for image in strip)
    assert all(image["alt"] for image in strip)
    assert float(str(strip[0]["data-psnr"])) > float(str(strip[1]["data-psnr"]))  # untrained
    assert strip[2]["data-psnr"] == ""
    assert f"depth 3 is not shown: {sweep / '1' / 'checkpoints' / 'best.ckpt'} is missing" in page.text
    assert len(list((sweep / "report").glob("sample-*-x2/*.png"))) == 3


def test_what_cannot_be_read_is_named_and_the_rest_shown(sweep: Path, job: Write):
    job("0", ["depth=2"], status="failed", error="The loss must be finite, got NaN.", psnr_db=None, val=())
    (job("1", ["depth=3"], val=(30.0, float("nan"))) / "record.json").write_text("{broken")
    (job("2", ["depth=4"]) / "test" / "ProSRN" / "run.json").write_text("[]")
    (job("10", ["depth=5"], psnr_db=None) / "record.json").unlink()
    page = read(write_page([sweep], pictures=0))
    assert "NaN" not in "".join(re.findall('application/json">(.*?)</script>', (sweep / "report.html").read_text()))
    assert "1 failed, 1 scored, 1 finished, 1 unfinished" in page.text
    assert "The loss must be finite, got NaN." in page.text
    assert f"{sweep / '1' / 'record.json'} must hold the record of a run" in page.text
    assert "run.json must name the method and the protocol" in page.text
    assert "It has no record.json: it still runs, or was killed." in page.text
    assert [cells[0] for cells in page.rows if cells[0].startswith("depth ")][:4] == [
        "depth 2 failed", "depth 3", "depth 4", "depth 5 unfinished",
    ]  # fmt: skip  # the tenth job is the last


def test_only_failed_jobs_still_make_a_page(sweep: Path, job: Write):
    job("0", ["depth=2"], status="failed", error="No photographs.", psnr_db=None, val=())
    page = read(write_page([sweep], pictures=2))
    assert "0 of 1" in page.text
    assert "No job was scored." in page.text
    assert "No photographs." in page.text


def test_runs_scored_by_two_protocols_stand_in_two_tables(sweep: Path, job: Write, undrawn: None):
    job("0", ["test.protocol=standard"], protocol=STANDARD, psnr_db=33.0)
    job("1", ["test.protocol=paper"], psnr_db=33.1)
    page = read(write_page([sweep], pictures=0))
    assert "The runs were not all scored alike, so they stand in 2 tables" in page.text
    assert row(page, "paper", 1)[1] == "33.10 0.9000 +2.76"  # and none is best
    assert "33.10" in next(cells for cells in page.rows if cells[0] == "ProSRN (2x)")[5]
    assert not any("33.00" in text for cells in page.rows if cells[0].startswith("ProSRN (") for text in cells)


def test_curves_that_mean_different_things_are_not_compared(sweep: Path, job: Write, undrawn: None):
    job("0", ["levels=x2"])
    folder = job("1", ["levels=x2_x4"], levels=(2, 4))
    (folder / "csv" / "metrics.csv").write_text(
        "step,val/psnr,val/Kodak24/x4/psnr,val/Kodak24/x2/psnr\n49,28,26,30\n99,29,27,31\n"
    )
    jobs = read_folders([sweep])
    assert comparable_metrics(jobs) == ["val/Kodak24/x2/psnr", "val/Kodak24/x4/psnr"]
    assert comparable_metrics(jobs[:1]) == ["val/psnr"]
    assert comparable_metrics([]) == []
    assert metric_title("val/Kodak24/x2/psnr") == "Validation PSNR on Kodak24 at 2x (dB)"
    assert jobs[1].progress is not None
    assert jobs[1].progress.minutes == (5.0, 10.0)  # half of ten minutes after half of the updates
    html = write_page([sweep], pictures=0).read_text()
    assert "did not validate at the same sets and scales" in html


def test_a_difference_may_be_a_default_of_the_other_jobs(sweep: Path, job: Write):
    job("a/0", ["depth=4", "seed=0"], depth=4)
    job("a/1", ["depth=4", "seed=1"], depth=4)
    job("b/0", ["optimizer.lr=1", "seed=0"])
    jobs = read_folders([sweep])
    keys = differing_keys(jobs)
    assert keys == ["depth", "optimizer.lr"]
    assert [(one.label, [job.title for job in one.jobs]) for one in group_jobs(jobs, keys)] == [
        ("depth 4", ["a/0", "a/1"]),
        ("depth 10, lr 1", ["b/0"]),
    ]
    assert [job.title for job in read_folders([sweep / "a", sweep / "b", sweep / "a" / "0"])] == ["a/0", "a/1", "b/0"]


def test_the_spread_of_seeds_is_half_the_range():
    found = spread([30.0, 30.6, 30.3, None, float("nan")])
    assert found is not None
    assert (round(found.mean, 6), round(found.half_range, 6), found.count) == (30.3, 0.3, 3)
    assert spread([None]) is None
    assert found.around(2) == "± 0.30"


def test_a_folder_without_runs_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="missing must hold the runs of a sweep .*, but there is no such folder; name"):
        write_page([tmp_path / "missing"])
    with pytest.raises(DataError, match="must hold the runs of a sweep .*, found none; name"):
        write_page([tmp_path])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep=a", "table=6"], "One of table=..., figure=... and sweep=... must be given, got table and sweep"),
        (["sweep=a", "runs=b"], "`runs` does not go with sweep="),
        (["sweep=a", "out=b.png"], "`out` must end in .html for a sweep, got b.png"),
        (["sweep=a", "pictures=7"], "`pictures`: invalid choice: 7"),
        (["sweep=a", "scale=3"], "`scale`: invalid choice: 3"),
        (["sweep=[]"], "`sweep` must name at least one folder"),
        (["table=6", "pictures=1"], "`pictures` does not go with table="),
    ],
)
def test_words_that_do_not_fit(words: list[str], message: str):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_words(words)


def test_the_command_says_where_the_page_is(
    sweep: Path, job: Write, tmp_path: Path, undrawn: None, monkeypatch, capsys
):
    job("0", ["depth=2"])
    out = tmp_path / "elsewhere" / "page.html"
    monkeypatch.setattr(sys, "argv", ["report", f"sweep=[{sweep},{sweep / '0'}]", f"out={out}", "pictures=0"])
    assert report.main() == 0
    assert capsys.readouterr().out == f"Page: {out}\n"
    assert "1 of 1" in read(out).text


@pytest.mark.slow
def test_the_slider_moves_in_a_browser(sweep: Path, job: Write, tmp_path: Path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium")
    job("0", ["depth=2", "seed=0"], depth=2, weights=True)
    job("1", ["depth=2", "seed=1"], depth=2)
    path = write_page([sweep], pictures=1, scale=2)
    probe = (
        "<script>const r = document.querySelector('.stage input'); r.value = 20; r.dispatchEvent(new Event('input'));"
        "const s = document.querySelector('.for-right'); s.value = 2; s.dispatchEvent(new Event('change'));"
        "document.title = [r.closest('.stage').style.getPropertyValue('--split'), r.closest('.stage').hidden,"
        "document.querySelector('.at-right').textContent, r.getAttribute('aria-valuetext').split(',')[0],"
        "[...document.querySelectorAll('tr.seed')].every((row) => row.hidden)].join('|');</script></body>"
    )
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    found = re.search("<title>(.*?)</title>", done.stdout)
    assert found is not None
    assert found.group(1) == "20%|false|original|20 percent bicubic|true"


def test_the_scale_of_a_comparison_says_which_levels_were_trained(tmp_path: Path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(
        "scale: 4\nlevels: [2]\nmodel:\n  _target_: prosr_lightning.lit.prosrn.LitProSRN\n"
        "  generator:\n    _target_: prosr_lightning.networks.LapSRN\n    scale: ${scale}\n"
    )
    training = read_training(tmp_path)
    assert training is not None
    assert training.levels == (2, 4)


def test_the_page_says_what_was_run_and_on_what(sweep: Path, job: Write, undrawn: None):
    data = {
        "photographs": 246,
        "megapixels": 91.6,
        "shrunk": 492,
        "folder": "/photographs",
        "validation": {"Kodak24": 8},
    }
    for number, depth in enumerate((4, 6)):
        folder = job(str(number), [f"depth={depth}"], depth=depth)
        config = {
            "depth": depth,
            "data": {"crop": 64, "cache_dir": "here"},
            "optimizer": {"lr": 0.001},
            "paths": {"a": 1},
        }
        add_to_record(folder, config=config, data=data, commit="0123456789abcdef+")
    (sweep / COMMAND).write_text(json.dumps({"command": ["experiment=depth_sweep", "depth=4,6", "data.exclude=[a b]"]}))
    page = read(write_page([sweep], pictures=0))
    assert "python -m prosr_lightning.train -m experiment=depth_sweep depth=4,6 'data.exclude=[a b]'" in page.text
    assert "246 photographs, 91.6 megapixels, and 492 smaller copies, in /photographs; " in page.text
    assert "validated on Kodak24 (8 images)" in page.text
    assert "0123456789ab with changes" in page.text
    assert "2 keys" in page.text
    assert "data.crop 64" in page.text
    assert "optimizer.lr 0.001" in page.text
    assert "cache_dir" not in page.text


def test_losses_and_values_that_were_tried_are_drawn(sweep: Path, job: Write):
    for number, rate in enumerate((1e-4, 5e-4, 2e-3)):
        folder = job(str(number), [f"optimizer.lr={rate}", f"method={'ab'[number % 2]}"], val=(29.0, 30.0 + number))
        lines = [f"{step},{0.5 / (step + 1)},," for step in range(0, 500, 2)]
        log = folder / "csv" / "metrics.csv"
        log.write_text("step,train/loss,val/Kodak24/x2/psnr,val/psnr\n" + "\n".join([*lines, f"99,,30,{30 + number}"]))
    page = read(write_page([sweep], pictures=0))
    for name in ("convergence-loss", "searched-optimizer-lr"):
        assert f"{name}-wide-figure_1" in page.ids
    assert not any(name.startswith("searched-method") for name in page.ids)
    progress = read_progress(sweep / "0")
    assert progress is not None
    assert len(progress.losses) == 250
    chart = loss_chart([(0, "a", "a", progress)])
    assert chart is not None
    (line,) = chart.series
    assert len(line.points) == 125
    assert line.points[1] == (7, pytest.approx((0.5 / 5 + 0.5 / 7) / 2))
    tried = value_chart("lr", [(0, "a", 1e-4, 30.0), (1, "b", 2e-3, 32.0)])
    assert (tried.x_scale, tried.series[1].points) == ("log", ((2e-3, 32.0),))


def test_printed_rows_without_a_run_are_marked_to_fold(sweep: Path, job: Write, undrawn: None):
    job("0", ["levels=x2"], psnr_db=33.0)
    html = write_page([sweep], pictures=0).read_text(encoding="utf-8")
    table = html[html.index('<table class="data paper">') :].partition("</table>")[0]
    rows = re.findall(r"<tr(.*?)>(.*?)</tr>", table.split("<tbody>", 1)[1], re.DOTALL)
    folded = [content for marks, content in rows if "unrun" in marks]
    shown = [content for marks, content in rows if "unrun" not in marks]
    assert any("33.00" in content for content in shown)
    assert "LapSRN" in folded[0]
    assert not any("33.00" in content for content in folded)
