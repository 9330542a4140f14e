"""The notebooks, executed as they are, with smaller settings after their cell of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
TINY = '"debug=smoke", "trainer=cpu", "model.generator.channels=8", "test.benchmarks=validation"'
# Values in place of those of the first code cell, and what must hold at the end.
SETTINGS = {
    "1_quickstart.ipynb": (
        "SCALE = 4\nfrom skimage import data as _data\nfrom PIL import Image as _Image\n"
        '_Image.fromarray(_data.cat()[:90, :120]).save("p.png")\nPHOTOGRAPH = "p.png"',
        "assert [one.size for one in levels] == [(60, 44), (120, 88)]\n"
        "assert set(scores) == {2, 4} and all(15 < value < 50 for value in scores.values())\n"
        "assert picture.width > 4 * 2 * 80",
    ),
    "2_train_and_read_the_curves.ipynb": (
        f'OVERRIDES = [{TINY}, "test.scales=[2]", "test.picture=true"]',
        'assert (record.status, record.steps, len(losses)) == ("finished", 4, 4)\n'
        "assert best == record.val['best'] and progress.steps == (4,)\n"
        "assert len(record.test) == 2 and picture.width > 800",
    ),
    "3_compare_runs_of_a_sweep.ipynb": (
        f'DEPTHS = [1, 3]\nWORDS = [{TINY}, "data=sample", "test.scales=[2]"]',
        "assert [row['status'] for row in rows] == ['finished'] * 2, finished.stderr\n"
        "assert int(rows[0]['parameters']) < int(rows[1]['parameters'])\n"
        "assert page.stat().st_size > 100_000 and 'depth 3' in page.read_text()",
    ),
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PROSR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    settings, conditions = SETTINGS[name]
    notebook: Any = nbformat.read(FOLDER / name, as_version=4)
    number = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    notebook.cells.insert(number + 1, nbformat.v4.new_code_cell(settings))
    notebook.cells.append(nbformat.v4.new_code_cell(conditions))

    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert {path.name for path in FOLDER.iterdir() if path.name[0] != "."} == set(NOTEBOOKS)  # nothing is left there


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_its_results(name):
    notebook: Any = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is None and not cell.outputs for cell in code)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown"


def test_each_notebook_has_settings_here():
    assert list(SETTINGS) == NOTEBOOKS
