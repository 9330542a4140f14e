import pytest

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import ESPCN, FSRCNN, Generator, SubPixelGenerator
from prosr_lightning.report import build_table, device
from prosr_lightning.report.device import cost_table


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(device, "NETWORKS", (ESPCN, Generator))


def test_each_method_has_its_counts_and_what_was_measured(few):
    table = cost_table(4, device="cpu", side=32)
    rows = {record["Method"]: record for record in table.records}
    assert list(rows) == ["ESPCN", "ProSRN"]
    assert [rows[name]["Parameters"] for name in rows] == ["24752", "436113"]
    assert [rows[name]["Layers"] for name in rows] == ["3", "14"]
    # ESPCN at 4x: 5*5*64 + 3*3*64*32 + 3*3*32*16 multiply-adds for each of 320 x 180 LR pixels
    assert rows["ESPCN"]["GFLOPs at 720p"] == f"{2 * (25 * 64 + 9 * 64 * 32 + 9 * 32 * 16) * 320 * 180 / 1e9:.1f}"
    assert all(float(row["ms"]) > 0 for row in rows.values())
    assert float(rows["ProSRN"]["ms"]) > float(rows["ESPCN"]["ms"])


def test_peak_memory_is_that_of_the_tensors_held_at_once(monkeypatch):
    monkeypatch.setattr(device, "NETWORKS", (ESPCN,))

    def peak(side: int) -> float:
        return float(cost_table(2, device="cpu", side=side).records[0]["Peak MiB"])

    lr = 256 * 256  # pixels of LR; ESPCN holds 64 features and makes 64 more of them by tanh, or 32
    held = 128 * lr * 4 / 2**20
    large = peak(512)
    assert held * 0.99 < large < 2 * held
    assert large == pytest.approx(4 * peak(256), rel=0.2)


def test_every_method_has_a_row_of_its_own(monkeypatch):
    monkeypatch.setattr(device, "NETWORKS", (Generator, SubPixelGenerator, FSRCNN))
    rows = cost_table(2, device="cpu", side=16).records
    assert len({row["Parameters"] for row in rows}) == 3


def test_it_takes_no_runs():
    with pytest.raises(ConfigError, match=r"Table cost is computed from the networks and takes no runs, got there"):
        build_table("cost", [type("Run", (), {"folder": "there"})()])
