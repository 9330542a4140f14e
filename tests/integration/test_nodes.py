"""Several processes on several nodes, which are this machine twice: one run, in one folder."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from prosr_lightning.runs.record import read_record

WORDS = (
    "debug=smoke", "data=sample", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2",
    "trainer.enable_progress_bar=false", "data.val_limit=1",
)  # fmt: skip


def _run_all(commands: list[list[str]], environments: list[dict[str, str]], folder) -> list[str]:
    """Start commands side by side, and return what each wrote when all have ended well."""
    started = []
    for number, (command, environment) in enumerate(zip(commands, environments, strict=True)):
        with (folder / f"{number}.txt").open("w") as file:
            settings = {**os.environ, "PROSR_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1", **environment}
            started.append(subprocess.Popen(command, cwd=folder, env=settings, stdout=file, stderr=file))
    try:
        codes = [one.wait(timeout=220) for one in started]
    finally:
        for one in started:
            one.kill()
    written = [(folder / f"{number}.txt").read_text() for number in range(len(commands))]
    assert codes == [0] * len(commands), "\n".join(written)
    return written


def _torchrun(folder, *words: str) -> list[str]:
    """Run a training by `torchrun` as two processes on each of two nodes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = ["--nnodes=2", "--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={port}"]
    commands = [
        [sys.executable, "-m", "torch.distributed.run", *nodes, f"--node-rank={node}", "-m", "prosr_lightning.train"]
        for node in range(2)
    ]
    return _run_all([[*command, *WORDS, "trainer.num_nodes=2", *words] for command in commands], [{}, {}], folder)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_prosrgan_on_two_nodes_is_one_run_that_can_go_on(tmp_path):
    words = ["experiment=prosrgan", "init_from=null", "model.discriminator.channels=4", "data.patches_per_epoch=16"]
    words += ["test.benchmarks=null", "ckpt_path=auto"]
    first = _torchrun(tmp_path, *words)
    assert "on 4 x CPU" in first[0]
    (folder,) = (tmp_path / "logs" / "smoke" / "runs").iterdir()
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["prosr"]
    assert stored["steps_done"] == 2  # 16 patches in batches of 2 on 4 devices
    record = read_record(folder)
    assert (record.status, record.samples) == ("finished", 16)

    again = _torchrun(tmp_path, *words, "trainer.max_epochs=2")
    assert "no earlier run" not in again[0]
    assert list((tmp_path / "logs" / "smoke" / "runs").iterdir()) == [folder]
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["prosr"]
    assert stored["steps_done"] == 4
    assert read_record(folder).samples == 32


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_srun_gives_one_run_folder(tmp_path):
    """With the variables that `srun --ntasks=2` sets; docs/nodes.md has the script for a real one."""
    common = {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NODELIST": "localhost"}
    common |= {"SLURM_JOB_NAME": "prosr", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1"}
    environments = [{**common, "SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1")]
    command = [sys.executable, "-m", "prosr_lightning.train", *WORDS]
    _run_all([command, command], environments, tmp_path)
    (folder,) = (tmp_path / "logs" / "smoke" / "runs").iterdir()
    assert folder.name == "slurm-4711-0-0"
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["prosr"]["steps_done"] == 2
    assert read_record(folder).samples == 8


def test_processes_that_would_train_side_by_side_are_refused(main, monkeypatch):
    for name, value in {"PROCID": "0", "NTASKS": "4", "STEP_ID": "0", "JOB_ID": "1", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    code, errors = main()
    assert code == 1
    assert "`trainer.num_nodes` must be the number of processes that were started, 4, got 1 times 1; with" in errors
