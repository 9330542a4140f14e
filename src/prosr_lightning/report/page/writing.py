"""From the jobs of a sweep to one HTML file."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from prosr_lightning import __version__
from prosr_lightning.errors import ConfigError, MissingDependencyError, ProSRError
from prosr_lightning.imaging.io import atomic_path
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.report.model import Column
from prosr_lightning.report.page.charts import VAL, comparable_metrics, convergence, parameters_and_psnr
from prosr_lightning.report.page.configurations import Configuration, convention, differing_keys, group_jobs
from prosr_lightning.report.page.drawing import Drawing
from prosr_lightning.report.page.growth import parameters_and_scale
from prosr_lightning.report.page.jobs import Job, find_jobs
from prosr_lightning.report.page.pictures import Gallery, make_gallery
from prosr_lightning.report.page.printed import paper_tables
from prosr_lightning.report.page.tables import best_validation, place_order, runs_grid, scores_grid
from prosr_lightning.runs.record import FILE_NAME

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_MOST_SCATTERS = 9


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
    jobs = find_jobs(folders)
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
        "runs": runs_grid(configurations, keys, comparable=metrics == [VAL]),
        "scores": [grid for group in alike if (grid := scores_grid(*group)) is not None],
        "tables": paper_tables(alike[0][0]) if alike else [],
        "failures": [(job, _complaint(job)) for job in jobs if _complaint(job)],
        "gallery": _gallery(configurations, images, pictures, scale),
        "metrics": metrics,
        "several_seeds": any(len(one.scored) > 1 for one in configurations),
        "version": __version__,
        "made": datetime.now().astimezone(),
        **_charts(configurations, alike, metrics, images, dataset=dataset, scale=scale),
    }
    html = _environment().get_template("page.html.j2").render(context)
    with atomic_path(out) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return out


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("page.css", "page.js"):
        environment.globals[name.replace(".", "_")] = Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704  # ours
    environment.filters["groupby_in_order"] = _by_group
    environment.filters["names"] = _names
    environment.filters["svg"] = Markup  # matplotlib's, which escapes what it writes
    environment.filters["data_url"] = _data_url
    return environment


def _by_group(columns: Sequence[Column]) -> list[tuple[str, list[Column]]]:
    return [(name, list(members)) for name, members in groupby(columns, key=lambda column: column.group)]


def _names(drawings: Sequence[Drawing]) -> list[tuple[int, str]]:
    """Return number and name of each series that any of the figures shows."""
    return sorted({number: name for one in drawings for number, name in one.names.items()}.items())


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _title(jobs: Sequence[Job], folders: Sequence[Path]) -> str:
    tasks = dict.fromkeys(task for job in jobs if (task := _task(job)))
    return ", ".join(tasks) or folders[0].resolve().name


def _task(job: Job) -> str:
    return (job.record.task if job.record is not None else "") or str(job.setting("task_name") or "")


def _facts(jobs: Sequence[Job], folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Return what the head of the page says: when, where, by which convention, on what."""
    days = sorted({_day(job) for job in jobs})
    facts = [("Trained", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")]
    facts.append(
        ("Jobs", ", ".join(f"{count} {state}" for state, count in Counter(job.status for job in jobs).items()))
    )
    facts.append(("Folders" if len(folders) > 1 else "Folder", ", ".join(map(str, folders))))
    machines = Counter(_machine(job) for job in jobs if job.record is not None and job.record.hardware)
    facts += [("Hardware", f"{text} ({count} jobs)" if len(machines) > 1 else text) for text, count in machines.items()]
    protocols = dict.fromkeys(job.run.protocol.describe() for job in jobs if job.run is not None)
    facts += [("Protocol", text.removeprefix("protocol ")) for text in protocols]
    return facts


def _day(job: Job) -> str:
    marks = (job.folder / FILE_NAME, job.folder / ".hydra" / "config.yaml", job.folder)
    newest = next(path for path in marks if path.exists()).stat().st_mtime
    return datetime.fromtimestamp(newest).astimezone().strftime("%Y-%m-%d")


def _machine(job: Job) -> str:
    assert job.record is not None
    known = dict(job.record.hardware)
    parts = [known.pop("cpu", ""), *(_count(known.pop(key, ""), key) for key in ("cores", "threads"))]
    device = known.pop("device", "")
    parts += [known.pop("memory", ""), "" if device == "cpu" else device, f"torch {known.pop('torch', 'unknown')}"]
    return ", ".join(part for part in [*parts, *(f"{key} {value}" for key, value in known.items())] if part)


def _count(number: str, things: str) -> str:
    return f"{number} {things.removesuffix('s') if number == '1' else things}" if number else ""


def _tiles(
    jobs: Sequence[Job], configurations: Sequence[Configuration], *, comparable: bool
) -> list[tuple[str, str, str]]:
    """Return the few numbers that come first: what, how much, and a remark."""
    done = sum(job.status in ("finished", "scored") for job in jobs)
    failed = sum(job.status == "failed" for job in jobs)
    other = len(jobs) - done - failed
    rest = [f"{failed} failed"] if failed else []
    rest += [f"{other} not finished"] if other else []
    tiles = [("Jobs finished", f"{done} of {len(jobs)}", ", ".join(rest) or f"{len(configurations)} configurations")]
    minutes = [job.minutes for job in jobs if job.minutes is not None]
    if minutes:
        total = sum(minutes)
        text = f"{total / 60:.1f} h" if total >= 90 else f"{total:.1f} min"
        tiles.append(("Training time", text, f"over {len(minutes)} jobs"))
    best = [(found.mean, one) for one in configurations if (found := one.spread(best_validation)) is not None]
    if best and comparable:
        value, one = max(best, key=lambda pair: pair[0])
        tiles.append(("Best validation", f"{value:.2f} dB", one.label))
    sizes = sorted({job.parameters for job in jobs if job.parameters})
    if sizes:
        text = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0] / 1e3:,.0f}k to {sizes[-1] / 1e3:,.0f}k"
        tiles.append(("Parameters", text, "learned values"))
    return tiles


def _scored_alike(configurations: Sequence[Configuration]) -> list[tuple[list[Configuration], list[int]]]:
    """Return the scored configurations, and the numbers of their colours, by convention; the paper's first."""
    groups: dict[tuple[str, str, str], tuple[list[Configuration], list[int]]] = {}
    for number, one in enumerate(configurations):
        if one.scored:
            some, numbers = groups.setdefault(convention(one.scored[0]), ([], []))
            some.append(one)
            numbers.append(number)
    paper = (PAPER.describe(), PAPER.bicubic_rounding, "")
    return [groups[key] for key in sorted(groups, key=lambda key: key != paper)]


def _complaint(job: Job) -> str:
    """Return why a job failed or cannot be read."""
    parts = list(job.problems)
    if job.record is not None and job.record.status != "finished":
        parts.insert(0, job.record.error or f"The run is {job.record.status}.")
    elif job.status == "unfinished" and not parts:
        parts.append(f"It has no {FILE_NAME}: it still runs, or was killed.")
    return " ".join(parts)


def _gallery(configurations: Sequence[Configuration], folder: Path, count: int, scale: int) -> Gallery:
    try:
        return make_gallery(configurations, folder, count=count, scale=scale)
    except ProSRError as error:
        return Gallery(pictures=(), source="", protocol=PAPER, notes=(f"No picture could be made: {error}",))


def _charts(
    configurations: Sequence[Configuration],
    alike: Sequence[tuple[list[Configuration], list[int]]],
    metrics: Sequence[str],
    folder: Path,
    *,
    dataset: str,
    scale: int,
) -> dict[str, Any]:
    """Draw the figures; without matplotlib say so."""
    try:
        scored, numbers = alike[0] if alike else ([], [])
        places = {place for one in scored if (run := one.mean_run()) is not None for place in run.scores}
        ranked = sorted(places, key=lambda place: (place != (dataset, scale), place_order(place)))
        scatters: list[Drawing | None] = [
            parameters_and_psnr(scored, numbers, name, factor, folder) for name, factor in ranked[:_MOST_SCATTERS]
        ]
        return {
            "convergence": convergence(configurations, metrics, folder),
            "scatters": [one for one in scatters if one is not None],
            "sizes": parameters_and_scale(configurations, folder),
            "no_figures": "",
        }
    except MissingDependencyError as error:
        return {"convergence": [], "scatters": [], "sizes": None, "no_figures": str(error)}
