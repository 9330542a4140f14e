from __future__ import annotations

import csv
from pathlib import Path

import pytest

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks.weights import load_network
from prosr_lightning.release.document import BEGIN, END, main, prosrn_names, scores_table, write_scores
from prosr_lightning.released import RELEASED_FOLDER

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).resolve().parents[2] / "golden"


@pytest.mark.parametrize("document", ["README.md", "docs/results.md"])
def test_a_document_agrees_with_the_released_weights(document):
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert written == scores_table(), "run `make docs`"


def test_the_table_has_the_scores_of_the_headers_and_the_papers():
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in scores_table().splitlines()]
    head, rows = lines[0], {tuple(line[:2]): line for line in lines[2:]}
    set5 = dict(zip(head, rows["Set5", "4x"], strict=True))
    assert set5["bicubic"] == "28.43 / 0.8022"
    assert rows["Set5", "8x"][2] == "24.40 / 0.6044"  # measured; the published row has 0.6045
    assert (set5["the paper's best ProSRN"], set5["LapSRN, published"]) == ("31.58 / 0.8842", "31.54 / 0.8811")
    assert rows["Set5", "2x"][-2] == "37.54 / 0.9584"
    assert rows["Set5", "8x"][-2] == "26.28 / 0.7126"  # of (2x, 4x), better than (2x, 4x, 8x) there
    assert rows["Set14", "8x"][-2] == "24.58 / 0.5897"
    assert not {"prosrgan", r"prosrn\_jpeg"} & set(head)  # trained for something else than these scores
    for name in prosrn_names():
        header = load_network(name).metadata
        (score,) = [one for one in header["scores"] if (one["dataset"], one["scale"]) == ("Set5", 4)]
        assert set5[name.replace("_", r"\_")] == f"{score['psnr_db']:.2f} / {score['ssim']:.4f}"
    assert len(rows) == 9


def test_bicubic_is_that_of_the_independent_evaluator():
    def scores(path: Path) -> list[tuple[str, str, float, float]]:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                (row["dataset"], row["scale"], float(row["psnr_db"]), float(row["ssim"]))
                for row in csv.DictReader(file)
            ]

    ours = scores(RELEASED_FOLDER / "bicubic.csv")
    golden = [row for row in scores(GOLDEN / "bicubic_paper.csv") if row[1] in ("2", "4", "8")]
    assert [row[:2] for row in ours] == [row[:2] for row in golden]
    for own, other in zip(ours, golden, strict=True):
        assert own[2:] == pytest.approx(other[2:], abs=1e-4)


def test_only_what_is_between_the_marks_changes(tmp_path):
    files = [tmp_path / "R.md", tmp_path / "S.md"]
    for file in files:
        file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter {file}\n")
    assert main([str(file) for file in files]) == 0
    for file in files:
        assert file.read_text() == f"before\n{BEGIN}\n{scores_table()}\n{END}\nafter {file}\n"


@pytest.mark.parametrize(("text", "message"), [(None, "must be a text file"), (f"{END}{BEGIN}", "must hold the lines")])
def test_a_readme_without_a_place_for_it_is_named(tmp_path, text, message):
    file = tmp_path / "R.md"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        write_scores(file)
    assert text is None or file.read_text() == text
