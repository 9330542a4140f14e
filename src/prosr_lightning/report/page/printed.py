"""Which of the paper's tables a sweep belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from prosr_lightning.report.model import Table
from prosr_lightning.report.page.configurations import Configuration
from prosr_lightning.report.page.tables import bicubic_run
from prosr_lightning.report.published import published_scores
from prosr_lightning.report.scores import place_runs
from prosr_lightning.report.tables import build_table

_TABLES = (2, 3, 4, 5, 6)


def paper_tables(configurations: Sequence[Configuration]) -> list[tuple[int, Table]]:
    """Return the paper's tables that the configurations fill rows of, with how many; the best filled first.

    Where they fill none but were scored on the paper's sets, Table 6 has them in rows of their own.
    """
    runs = [run for one in configurations if (run := one.mean_run()) is not None]
    bicubic = bicubic_run(configurations)
    found = []
    for number in _TABLES:
        places = {(one.dataset, one.scale) for one in published_scores(number)}
        mine = [run for run in runs if run.scores.keys() & places]
        beside = [bicubic] if bicubic is not None and bicubic.scores.keys() & places else []
        rows = place_runs(number, mine) if mine else []
        filled = sum(bool(row.ours and row.published) for row in rows if row.method != "Bicubic")
        if mine and (filled or number == _TABLES[-1]):
            found.append((filled, len(rows), number, [*beside, *mine]))
    matched = [one for one in found if one[0]] or found
    ranked = sorted(matched, key=lambda one: (-one[0] / one[1], one[2]))
    return [(filled, build_table(str(number), some)) for filled, _, number, some in ranked]
