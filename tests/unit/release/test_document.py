from __future__ import annotations

from pathlib import Path

import pytest

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.weights import load_network
from prosr_lightning.release.document import BEGIN, END, main, scores_table, write_scores

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_readme_agrees_with_the_released_weights():
    text = README.read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert written == scores_table("prosrn"), "run `make docs`"


def test_the_table_has_the_scores_of_the_header_and_the_papers():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in scores_table("prosrn").splitlines()]
    (set5,) = [row for row in rows if row[:2] == ["Set5", "4x"]]
    header = load_network("prosrn").metadata
    (score,) = [one for one in header["scores"] if (one["dataset"], one["scale"]) == ("Set5", 4)]
    assert set5[2] == "28.43 / 0.8022"
    assert set5[3] == f"{score['psnr_db']:.2f} / {score['ssim']:.4f}"
    assert set5[4] == f"{score['psnr_db'] - 28.43:+.2f}"
    assert set5[5] in ("31.44 / 0.8821", "31.58 / 0.8842", "31.54 / 0.8828")  # Table 4, by levels
    assert float(set5[6]) == pytest.approx(score["psnr_db"] - float(set5[5].split()[0]), abs=0.006)
    assert set5[7] == "31.54 / 0.8811"
    assert len(rows) - 2 == len(header["scores"])


def test_only_what_is_between_the_marks_changes(tmp_path):
    file = tmp_path / "R.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(file)]) == 0
    assert file.read_text() == f"before\n{BEGIN}\n{scores_table('prosrn')}\n{END}\nafter\n"


@pytest.mark.parametrize(("text", "message"), [(None, "must be a text file"), (f"{END}{BEGIN}", "must hold the lines")])
def test_a_readme_without_a_place_for_it_is_named(tmp_path, text, message):
    file = tmp_path / "R.md"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        write_scores(file)
    assert text is None or file.read_text() == text
