"""The notebooks, executed as they are, with smaller settings after their cell of parameters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
TINY = '"debug=smoke", "trainer=cpu", "model.generator.channels=8", "test.benchmarks=validation"'
NOWHERE = "http://127.0.0.1:9"  # a port that nobody answers at
# Values in place of those of the first code cell, what must hold at the end, words and number of pictures to be shown.
SETTINGS = {
    "1_quickstart.ipynb": (
        "SCALE = 4\nfrom skimage import data as _data\nfrom PIL import Image as _Image\n"
        '_Image.fromarray(_data.cat()[:90, :120]).save("p.png")\nPHOTOGRAPH = "p.png"',
        "assert [one.size for one in levels] == [(60, 44), (120, 88)]\n"
        "assert set(scores) == set(by_bicubic) == {2, 4}\n"
        "assert all(by_bicubic[n] + 0.1 < scores[n] < 50 for n in (2, 4))\n"
        "assert picture.width > 4 * 2 * 80 and picture.height > 2 * 2 * 80",
        ("level 2x: ", "level 4x: "),
        1,
    ),
    "2_train_and_read_the_curves.ipynb": (
        f'OVERRIDES, START = [{TINY}, "test.scales=[2]", "test.picture=true"], None',
        'assert (record.status, record.steps, len(losses)) == ("finished", 4, 4)\n'
        "assert best == record.val['best'] and progress.steps == (4,)\n"
        "assert len(record.test) == 2 and picture.width > 800",
        ("4 updates in", "sample/x2/psnr"),
        2,
    ),
    "3_compare_runs_of_a_sweep.ipynb": (
        f'DEPTHS = [1, 3]\nWORDS = [{TINY}, "data=sample", "test.scales=[2]"]\nPROJECT = "nobody/nothing"',
        "assert [row['status'] for row in rows] == ['finished'] * len(DEPTHS)\n"
        "assert int(rows[0]['parameters']) < int(rows[1]['parameters'])\n"
        "assert all(f'depth={n}, channels=8' in race for n in DEPTHS) and '37.54' not in race\n"
        "assert page.stat().st_size > 100_000 and 'depth 3' in page.read_text()",
        ("jobs finished", "**37.54** / **0.9584**", "No account of Weights & Biases is configured"),
        1,
    ),
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """One kernel for all notebooks: each start imports for ten seconds."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSR_CACHE_DIR", str(home / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        for variable in [variable for variable in os.environ if variable.startswith("WANDB_")]:
            patch.delenv(variable)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("NETRC", str(home / "netrc"))  # nobody's account
        for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            patch.setenv(variable, str(home / "wandb"))
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(variable, NOWHERE)  # a download fails
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel()
        yield manager
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path, kernel):
    settings, conditions, words, pictures = SETTINGS[name]
    there = set(FOLDER.iterdir())
    notebook: Any = nbformat.read(FOLDER / name, as_version=4)
    number = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    notebook.cells.insert(number + 1, nbformat.v4.new_code_cell(settings))
    notebook.cells.append(nbformat.v4.new_code_cell(conditions))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"%reset -f\n%cd -q {tmp_path}"))  # no name of an earlier one

    client = NotebookClient(notebook, km=kernel, timeout=120)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == pictures
    texts = "\n".join(output.get("text", "") + output.get("data", {}).get("text/markdown", "") for output in outputs)
    assert not [one for one in words if one not in texts]
    assert set(FOLDER.iterdir()) == there  # nothing is left there


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
