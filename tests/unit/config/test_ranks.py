from pathlib import Path

import pytest
from torch.distributed import TCPStore

from prosr_lightning.config import ranks

SRUN = {"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}


@pytest.fixture
def environment(monkeypatch):
    """Set variables, of a process that nothing else has started."""

    def set_all(**variables: str) -> None:
        for name in (*SRUN, "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_all()
    return set_all


@pytest.fixture
def by_torchrun(environment):
    """Become one of the four processes of an agent, which keeps a store for them."""
    agent = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    common = {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True", "WORLD_SIZE": "4"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(agent.port)}
    yield lambda rank, restart=0: environment(
        **common, **address, RANK=str(rank), TORCHELASTIC_RESTART_COUNT=str(restart)
    )
    del agent


def test_alone_a_process_chooses_for_itself(environment):
    assert ranks.started_processes() == 1
    assert ranks.is_first()
    assert ranks.common_folder(Path("runs/now")) == Path("runs/now")
    assert ranks.told_by_the_first(lambda: ["runs/now", ""]) == ["runs/now", ""]


def test_the_first_process_of_torchrun_chooses_for_all(by_torchrun):
    by_torchrun(0)
    assert (ranks.started_processes(), ranks.is_first()) == (4, True)
    assert ranks.told_by_the_first(lambda: ["a b/ü", ""]) == ["a b/ü", ""]
    for rank in (1, 2, 3):
        by_torchrun(rank)
        assert not ranks.is_first()
        assert ranks.told_by_the_first(pytest.fail) == ["a b/ü", ""]
    by_torchrun(0, restart=1)  # all were started again, after one failed
    ranks.told_by_the_first(lambda: ["again", "last.ckpt"])
    by_torchrun(2, restart=1)
    assert ranks.told_by_the_first(pytest.fail) == ["again", "last.ckpt"]


def test_an_error_of_the_first_ends_all(by_torchrun):
    def refuse() -> list[str]:
        raise SystemExit(1)

    by_torchrun(0)
    with pytest.raises(SystemExit):
        ranks.told_by_the_first(refuse)
    by_torchrun(3)
    with pytest.raises(SystemExit):
        ranks.told_by_the_first(pytest.fail)


def test_processes_of_srun_have_the_folder_of_their_step(environment):
    environment(**SRUN)
    assert (ranks.started_processes(), ranks.is_first()) == (4, False)
    folders = {ranks.common_folder(Path(f"runs/{moment}")) for moment in ("now", "later")}
    assert folders == {Path("runs/slurm-7-0-0")}
    environment(**SRUN | {"SLURM_PROCID": "0", "SLURM_STEP_ID": "1"}, SLURM_RESTART_COUNT="2")
    assert ranks.is_first()
    assert ranks.common_folder(Path("runs/now")) == Path("runs/slurm-7-1-2")


def test_a_single_task_of_srun_keeps_its_own_folder(environment):
    environment(**SRUN | {"SLURM_NTASKS": "1"})
    assert ranks.common_folder(Path("runs/now")) == Path("runs/now")
