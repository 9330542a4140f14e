"""Tables 2 to 6: the printed rows, and our runs in the rows they belong to."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.report.matching import rows_for, same_row
from prosr_lightning.report.protocols import common_protocol, describe_protocol
from prosr_lightning.report.published import PublishedScore, published_scores
from prosr_lightning.runs.scored import Run
from prosr_lightning.runs.scores import SummaryRow
from prosr_lightning.tables import Cell, Column, Table, Value, mark_values, text_cell

log = logging.getLogger(__name__)

Notes = dict[PublishedScore, tuple[str, str]]  # letter and text

NOT_RUN = "not run"
NOT_PUBLISHED = "n/a"
AS_ABOVE = '"'
_SUBJECTS = {
    2: "LapSRN, a network for each scale, and ProSRN, trained at 2x alone.",
    3: "Structures of the feature extraction, trained at 2x. The paper's general structure is LapSRN itself; a ProSRN "
    "with structure=plain stands in its row.",
    4: "ProSRN by the levels that were trained together.",
    5: "Networks trained for looks.",
    6: "The compared methods.",
}


@dataclass
class Row:
    """A row of the table: one method at one scale.

    Attributes:
        method: Its name.
        scale: The factor.
        published: The printed scores by set; empty for a row that the paper does not have.
        ours: Our scores by set.
        folders: Where ours come from.
        extra: Whether this row has been added to the paper's.
    """

    method: str
    scale: int
    published: Mapping[str, PublishedScore]
    ours: dict[str, SummaryRow]
    folders: list[str]
    extra: bool = False


def score_table(number: int, runs: Sequence[Run]) -> Table:
    """Lay out one of the paper's tables of scores, with ours beside the printed ones.

    Args:
        number: 2 to 6.
        runs: Ours; those that belong to no printed row get rows of their own below.

    Returns:
        The table. Best and second best are marked for each scale, among the paper's numbers and among ours apart, at
        the printed digits; what is probably a misprint takes no part.

    Raises:
        ConfigError: If the runs were not scored alike.
    """
    protocol = common_protocol(runs)
    comparable = protocol == PAPER
    rows = place_runs(number, runs)
    sets = list(dict.fromkeys(printed.dataset for printed in published_scores(number)))
    notes = _notes(rows)
    blocks = []
    for scale in dict.fromkeys(row.scale for row in rows):
        block = [row for row in rows if row.scale == scale]
        columns = [_column(block, name, notes, comparable=comparable) for name in sets]
        blocks.append(
            tuple(
                (text_cell(row.method), text_cell(f"{scale}x"), *(cell for column in columns for cell in column[index]))
                for index, row in enumerate(block)
            )
        )
    pairs = tuple(Column(title=title, group=name) for name in sets for title in ("paper", "ours"))
    return Table(
        title=f"Table {number} of the paper",
        caption=_caption(number, runs, comparable=comparable),
        columns=(Column(title="Method", numeric=False), Column(title="Scale"), *pairs),
        blocks=tuple(blocks),
        notes=tuple(notes.values()),
        records=_records(number, rows, sets, protocol.name, comparable=comparable),
    )


def place_runs(number: int, runs: Sequence[Run]) -> list[Row]:
    """Return the printed rows of a table by scale, our scores in them, and the rows that ours add below.

    Args:
        number: 2 to 6.
        runs: Ours. Bicubic is left out of a table that does not have it, and so are scales and sets.
    """
    printed = published_scores(number)
    by_row: dict[tuple[str, int], dict[str, PublishedScore]] = {}
    for cell in printed:
        by_row.setdefault((cell.method, cell.scale), {})[cell.dataset] = cell
    rows = [Row(method, scale, cells, {}, []) for (method, scale), cells in by_row.items()]
    sets, has_bicubic = {cell.dataset for cell in printed}, any(row.method == "Bicubic" for row in rows)
    scales = sorted({row.scale for row in rows})
    for run in runs:
        mine = {key: score for key, score in run.scores.items() if key[0] in sets and key[1] in scales}
        if not mine:
            have = sorted({f"{name} {scale}x" for name, scale in run.scores})
            log.warning("%s has no score that Table %d shows; it has %s", run.folder, number, ", ".join(have))
        for scale in scales if has_bicubic or not run.is_bicubic else ():
            scores = {name: score for (name, factor), score in mine.items() if factor == scale}
            if scores:
                _place(rows, run, rows_for(run, number, scale), scale, scores)
    return sorted(rows, key=lambda row: row.scale)  # stable: printed order, then ours


def _place(rows: list[Row], run: Run, names: Sequence[str], scale: int, scores: Mapping[str, SummaryRow]) -> None:
    """Put scores into the first row that fits; where that has others already, into a row of their own."""
    here = [row for row in rows if row.scale == scale]
    printed = next((row for name in names for row in here if same_row(row.method, name)), None)
    run = run if printed is None else replace(run, name=printed.method)
    published = {} if printed is None else printed.published
    family = [row for row in here if row.published is published or (not published and same_row(row.method, run.label))]
    for row in family if printed is not None else [row for row in family if row.extra]:
        if all(name not in row.ours or _equal(row.ours[name], score) for name, score in scores.items()):
            row.ours.update({name: score for name, score in scores.items() if name not in row.ours})
            row.folders.append(str(run.folder))
            return
    taken = {row.method for row in here}
    new = Row(run.other_label(taken), scale, published, dict(scores), [str(run.folder)], extra=True)
    rows.insert(rows.index(family[-1]) + 1 if family else len(rows), new)


def _equal(score: SummaryRow, other: SummaryRow) -> bool:
    """Whether two runs scored the same, as bicubic does beside every training; times differ."""
    return (score.psnr_db, score.ssim) == (other.psnr_db, other.ssim)


def _notes(rows: Sequence[Row]) -> Notes:
    """Return the letter and the text of the note on each misprint."""
    notes: Notes = {}
    for cell in (cell for row in rows if not row.extra for cell in row.published.values() if cell.note):
        kind = {"psnr_db": "PSNR", "ssim": "SSIM"}[cell.doubtful]
        text = f"{cell.method}, {cell.dataset}, {cell.scale}x: {kind} as printed, probably a misprint; {cell.note}."
        notes[cell] = ("abcdefghij"[len(notes)], text)
    return notes


def _column(block: Sequence[Row], name: str, notes: Notes, *, comparable: bool) -> list[tuple[Cell, Cell]]:
    """Return the paper's cell and ours of one set, for each row of one scale."""
    printed = [None if row.extra else row.published.get(name) for row in block]
    doubts = [("", "") if cell is None else (cell.doubtful, notes.get(cell, ("", ""))[0]) for cell in printed]
    cells = []
    for row, paper, ours in zip(
        block,
        score_cells(printed, NOT_PUBLISHED, doubts),
        score_cells([row.ours.get(name) for row in block], NOT_RUN),
        strict=True,
    ):
        if comparable and name in row.ours and name in row.published:
            ours = replace(ours, suffix=f" ({difference(row.ours[name], row.published[name])})")  # noqa: PLW2901
        cells.append((text_cell(AS_ABOVE) if row.extra and name in row.published else paper, ours))
    return cells


def score_cells(
    scores: Sequence[SummaryRow | PublishedScore | None], absent: str, doubts: Sequence[tuple[str, str]] | None = None
) -> list[Cell]:
    """Return "PSNR / SSIM" of each row of a column, the best and the second best of both marked.

    Args:
        scores: None where there is none.
        absent: What stands there instead.
        doubts: For each, which of "psnr_db" and "ssim" takes no part in the marks, and the letter of its note.
    """
    doubts = doubts or [("", "")] * len(scores)
    columns = []
    for key, digits in (("psnr_db", 2), ("ssim", 4)):
        numbers = [None if score is None else round(float(getattr(score, key)), digits) for score in scores]
        sure = [None if doubt == key else number for number, (doubt, _) in zip(numbers, doubts, strict=True)]
        columns.append(
            [
                None
                if number is None
                else Value(text=f"{number:.{digits}f}", mark=mark, note=letter if doubt == key else "")
                for number, mark, (doubt, letter) in zip(numbers, mark_values(sure), doubts, strict=True)
            ]
        )
    return [
        text_cell(absent) if psnr is None or ssim is None else Cell(values=(psnr, ssim))
        for psnr, ssim in zip(*columns, strict=True)
    ]


def difference(ours: SummaryRow, printed: PublishedScore | SummaryRow) -> str:
    """Return the PSNR of ours minus another in dB, signed, without a negative zero."""
    return f"{round(ours.psnr_db - printed.psnr_db, 2) + 0.0:+.2f}"


def _caption(number: int, runs: Sequence[Run], *, comparable: bool) -> str:
    where = (
        "in brackets the difference to the paper's row in dB"
        if comparable
        else "without the difference to the paper's rows, which were scored by protocol paper"
    )
    scales = ", ".join(f"{scale}x" for scale in sorted({printed.scale for printed in published_scores(number)}))
    return (
        f"{_SUBJECTS[number]} PSNR in dB / SSIM at {scales}. paper: as printed; ours: run here, {where}. Best in bold, "
        "second best underlined, at each scale, among the paper's and among ours apart, at the printed digits. "
        f"{describe_protocol(runs)}."
    )


def _records(
    number: int, rows: Sequence[Row], sets: Sequence[str], protocol: str, *, comparable: bool
) -> list[dict[str, str]]:
    records = []
    for row in rows:
        for name in sets:
            printed, ours = row.published.get(name), row.ours.get(name)
            records.append(
                {
                    "table": str(number),
                    "method": row.method,
                    "scale": str(row.scale),
                    "dataset": name,
                    "paper_psnr_db": "" if printed is None else f"{printed.psnr_db:.2f}",
                    "paper_ssim": "" if printed is None else f"{printed.ssim:.4f}",
                    "ours_psnr_db": "" if ours is None else f"{ours.psnr_db:.6f}",
                    "ours_ssim": "" if ours is None else f"{ours.ssim:.7f}",
                    "difference_db": difference(ours, printed) if ours and printed and comparable else "",
                    "protocol": "" if ours is None else protocol,
                    "runs": "" if ours is None else ";".join(row.folders),
                    "note": "" if printed is None or not printed.note else f"{printed.doubtful}: {printed.note}",
                }
            )
    return records
