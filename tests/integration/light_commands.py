"""Run commands in forks of a process that has imported Hydra and read `conf/`, but nothing that takes seconds.

Standard input has the commands as JSON, a module of the package and its words each; standard output gets the exit code
of each, what it wrote, and which of the heavy packages it imported.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
from typing import TextIO

from hydra import compose, initialize_config_dir

from prosr_lightning.config import conf_dir, validate

HEAVY = frozenset({"torch", "lightning", "torchmetrics", "kornia", "scipy", "skimage", "matplotlib", "wandb"})


def heavy() -> list[str]:
    return sorted(HEAVY & sys.modules.keys())


def _become(module: str, words: list[str], written: TextIO, imported: TextIO) -> None:
    for stream in (1, 2):
        os.dup2(written.fileno(), stream)
    sys.argv[1:] = words
    code: object = 1
    try:
        runpy.run_module(f"prosr_lightning.{module}", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        json.dump(heavy(), imported)
        imported.flush()
        os._exit(code if isinstance(code, int) else 1)


def _run(module: str, words: list[str]) -> tuple[int, str, list[str]]:
    with tempfile.TemporaryFile("w+") as written, tempfile.TemporaryFile("w+") as imported:
        child = os.fork()
        if not child:
            _become(module, words, written, imported)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        written.seek(0)
        imported.seek(0)
        return code, written.read(), json.load(imported)


if __name__ == "__main__":
    for name in ("train", "evaluate"):
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            validate(compose(name, overrides=["paths.output_dir=out"]), name)
    assert not heavy()
    json.dump([_run(module, words) for module, words in json.load(sys.stdin)], sys.stdout)
