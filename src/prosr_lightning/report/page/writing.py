"""From the jobs of a sweep to one HTML file."""

from __future__ import annotations

import base64
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from prosr_lightning import __version__
from prosr_lightning.errors import ConfigError, ProSRError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.report.page.configurations import Configuration, convention, differing_keys, group_jobs
from prosr_lightning.report.page.figures import comparable_metrics, draw_figures
from prosr_lightning.report.page.pictures import Gallery, make_gallery
from prosr_lightning.report.page.tables import best_validation, paper_tables, runs_table, scores_table
from prosr_lightning.report.painting import Drawing
from prosr_lightning.runs.log import VAL
from prosr_lightning.runs.record import FILE_NAME
from prosr_lightning.runs.sweeps import read_command
from prosr_lightning.runs.trained import TrainedRun, read_folders
from prosr_lightning.runs.training import HYDRA
from prosr_lightning.tables import groups

_HERE = Path(__file__).parent
# where and with what help, not what is trained; and what stands elsewhere already
_NO_SETTING = re.compile(r"(paths|callbacks|logger|sweep|task_name|model\.(optimizer|scheduler))\b|.*(_partial_|_dir)$")


def write_page(
    folders: Sequence[Path], out: Path | None = None, *, dataset: str = "Set14", scale: int = 4, pictures: int = 2
) -> Path:
    """Write the report of a sweep.

    Args:
        folders: Multiruns, folders above several, or single runs; they are reported together.
        out: The page; None puts `report.html` into the first folder. PNGs go into a folder beside it, of the same name.
        dataset: The set that Fig. 8 shows first.
        scale: The scale that Fig. 8 shows first, and that of the pictures.
        pictures: Pictures to enlarge with each network; 0 for none.

    Returns:
        The page.

    Raises:
        ConfigError: If no folder is named.
        DataError: If a folder is missing or holds no run.
        StorageError: If a file cannot be written.
    """
    if not folders:
        raise ConfigError("`sweep` must name at least one folder, got none; give sweep=DIR or sweep=[DIR,DIR].")
    jobs = read_folders(folders)
    out = out or folders[0] / "report.html"
    images = out.with_suffix("")
    keys = differing_keys(jobs)
    configurations = group_jobs(jobs, keys)
    metrics = comparable_metrics(jobs)
    alike = _scored_alike(configurations)
    context: dict[str, Any] = {
        "title": _title(jobs, folders),
        "facts": _facts(jobs, folders),
        "tiles": _tiles(jobs, configurations, comparable=metrics == [VAL]),
        "settings": _settings(jobs),
        "runs": runs_table(configurations, keys, comparable=metrics == [VAL]),
        "scores": [scores_table(*group) for group in alike],
        "tables": paper_tables(alike[0][0]) if alike else [],
        "failures": [(job, _complaint(job)) for job in jobs if _complaint(job)],
        "gallery": _gallery(configurations, images, pictures, scale),
        "metrics": metrics,
        "several_seeds": any(len(configuration.scored) > 1 for configuration in configurations),
        "version": __version__,
        "made": datetime.now().astimezone(),
        **draw_figures(configurations, alike[0] if alike else ([], []), metrics, images, (dataset, scale), keys),
    }
    html = _environment().get_template("page.html.j2").render(context)
    write_file(out, html)
    return out


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("page.css", "page.js"):
        environment.globals[name.replace(".", "_")] = Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704  # ours
    environment.filters["groups"] = groups
    environment.filters["names"] = _names
    environment.filters["svg"] = Markup  # matplotlib's, which escapes what it writes
    environment.filters["data_url"] = _data_url
    return environment


def _names(drawings: Sequence[Drawing]) -> list[tuple[int, str]]:
    """Return number and name of each series that any of the figures shows."""
    return sorted({number: name for drawing in drawings for number, name in drawing.chart.names.items()}.items())


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _title(jobs: Sequence[TrainedRun], folders: Sequence[Path]) -> str:
    tasks = dict.fromkeys(job.record.task for job in jobs if job.record.task)
    return ", ".join(tasks) or folders[0].resolve().name


def _facts(jobs: Sequence[TrainedRun], folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Return what the head of the page says: when, where, by which convention, on what."""
    days = sorted({_day(job) for job in jobs})
    states = Counter(job.record.status for job in jobs)
    machines = Counter(_machine(job.record.hardware) for job in jobs if job.record.hardware)
    protocols = dict.fromkeys(job.run.info.protocol.describe() for job in jobs if job.run is not None)
    return [
        ("Trained", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"),
        ("Jobs", ", ".join(f"{count} {state}" for state, count in states.items())),
        ("Folders" if len(folders) > 1 else "Folder", ", ".join(map(str, folders))),
        *(("Command", command) for command in dict.fromkeys(map(_command, folders)) if command),
        *(("Data", text) for text in dict.fromkeys(map(_data, jobs)) if text),
        *(("Commit", text) for text in dict.fromkeys(_commit(job) for job in jobs) if text),
        *(("Hardware", f"{text} ({count} jobs)" if len(machines) > 1 else text) for text, count in machines.items()),
        *(("Protocol", text.removeprefix("protocol ")) for text in protocols),
    ]


def _command(folder: Path) -> str:
    """Return the words that a sweep was begun with; "" of a folder that is none."""
    words = read_command(folder)
    return f"python -m prosr_lightning.train -m {shlex.join(words)}" if words else ""


def _data(job: TrainedRun) -> str:
    """Return what a job trained and validated on."""
    data = job.record.data
    if not data:
        return ""
    shrunk = f", and {data['shrunk']:,} smaller copies" if data.get("shrunk") else ""
    sets = ", ".join(f"{name} ({_count(str(number), 'images')})" for name, number in data["validation"].items())
    of = f"{data['photographs']:,} photographs, {data['megapixels']:,} megapixels{shrunk}, in {data['folder']}"
    return f"{of}; validated on {sets}"


def _commit(job: TrainedRun) -> str:
    commit = job.record.commit
    changed = " with changes" if commit.endswith("+") else ""
    return f"{commit.rstrip('+')[:12]}{changed}, version {job.record.version}" if commit else ""


def _settings(jobs: Sequence[TrainedRun]) -> list[tuple[str, str]]:
    """Return the values of the configuration that all jobs share, by key."""
    every = [dict(_leaves(job.record.config)) for job in jobs if job.record.config]
    if not every:
        return []
    first, *others = every
    return [
        (key, value)
        for key, value in first.items()
        if not _NO_SETTING.match(key) and all(other.get(key) == value for other in others)
    ]


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", "null" if value is None else str(value)


def _day(job: TrainedRun) -> str:
    marks = (job.folder / FILE_NAME, job.folder / HYDRA / "config.yaml", job.folder)
    newest = next(path for path in marks if path.exists()).stat().st_mtime
    return datetime.fromtimestamp(newest).astimezone().strftime("%Y-%m-%d")


def _machine(hardware: Mapping[str, str]) -> str:
    known = dict(hardware)
    parts = [known.pop("cpu", ""), *(_count(known.pop(key, ""), key) for key in ("cores", "threads"))]
    device = known.pop("device", "")
    parts += [known.pop("memory", ""), "" if device == "cpu" else device, f"torch {known.pop('torch', 'unknown')}"]
    return ", ".join(part for part in [*parts, *(f"{key} {value}" for key, value in known.items())] if part)


def _count(number: str, things: str) -> str:
    return f"{number} {things.removesuffix('s') if number == '1' else things}" if number else ""


def _tiles(
    jobs: Sequence[TrainedRun], configurations: Sequence[Configuration], *, comparable: bool
) -> list[tuple[str, str, str]]:
    """Return the few numbers that come first: what, how much, and a remark."""
    done = sum(job.record.status in ("finished", "scored") for job in jobs)
    failed = sum(job.record.status == "failed" for job in jobs)
    other = len(jobs) - done - failed
    rest = [f"{failed} failed"] if failed else []
    rest += [f"{other} not finished"] if other else []
    tiles = [("Jobs finished", f"{done} of {len(jobs)}", ", ".join(rest) or f"{len(configurations)} configurations")]
    minutes = [job.record.minutes for job in jobs if job.record.minutes is not None]
    if minutes:
        total = sum(minutes)
        text = f"{total / 60:.1f} h" if total >= 90 else f"{total:.1f} min"
        tiles.append(("Training time", text, f"over {len(minutes)} jobs"))
    best = {
        configuration.label: value.mean
        for configuration in configurations
        if (value := configuration.spread(best_validation)) is not None
    }
    if best and comparable:
        label = max(best, key=lambda name: best[name])
        tiles.append(("Best validation", f"{best[label]:.2f} dB", label))
    sizes = sorted({job.parameters for job in jobs if job.parameters})
    if sizes:
        text = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0] / 1e3:,.0f}k to {sizes[-1] / 1e3:,.0f}k"
        tiles.append(("Parameters", text, "learned values"))
    return tiles


def _scored_alike(configurations: Sequence[Configuration]) -> list[tuple[list[Configuration], list[int]]]:
    """Return the scored configurations, and the numbers of their colours, by convention; the paper's first."""
    groups: dict[tuple[str, str, str], tuple[list[Configuration], list[int]]] = {}
    for number, configuration in enumerate(configurations):
        if configuration.scored:
            members, numbers = groups.setdefault(convention(configuration.scored[0]), ([], []))
            members.append(configuration)
            numbers.append(number)
    paper = (PAPER.describe(), PAPER.bicubic_rounding, "")
    return [groups[key] for key in sorted(groups, key=lambda key: key != paper)]


def _complaint(job: TrainedRun) -> str:
    """Return why a job failed or cannot be read."""
    parts = list(job.problems)
    if job.record.status == "unfinished":
        parts = parts or [f"It has no {FILE_NAME}: it still runs, or was killed."]
    elif job.record.status not in ("finished", "scored"):
        parts.insert(0, job.record.error or f"The run is {job.record.status}.")
    return " ".join(parts)


def _gallery(configurations: Sequence[Configuration], folder: Path, count: int, scale: int) -> Gallery:
    try:
        return make_gallery(configurations, folder, count=count, scale=scale)
    except ProSRError as error:
        return Gallery(pictures=(), source="", protocol=PAPER, notes=(f"No picture could be made: {error}",))
