"""ncnn's own files of a step: the graph in `.param`, the weights in `.bin`, our facts in `.json`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prosr_lightning.errors import CheckpointError, MissingDependencyError, ProSRError
from prosr_lightning.imaging.arrays import Planes
from prosr_lightning.imaging.io import write_file

if TYPE_CHECKING:
    from torch.jit import ScriptModule

_SHAPES = ("[1,1,24,20]f32", "[1,1,17,26]f32")  # two of them, so that no size is taken for a constant


def write_ncnn(traced: ScriptModule, path: Path, facts: Mapping[str, str]) -> None:
    """Translate a traced step by pnnx.

    Args:
        traced: By `torch.jit.trace`.
        path: The `.param`; the other two files lie beside it.
        facts: Texts that travel along.

    Raises:
        MissingDependencyError: If pnnx is not installed.
        ProSRError: If it cannot translate the network.
    """
    try:
        import pnnx  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MissingDependencyError(
            "This format needs the package pnnx, which is not installed; pip install pnnx."
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        traced.save(f"{folder}/graph.pt")
        words = [f"inputshape{number}={shape}" for number, shape in zip(("", "2"), _SHAPES, strict=True)]
        done = subprocess.run(
            [pnnx.EXEC_PATH, "graph.pt", *words, "fp16=0"], cwd=folder, check=False, capture_output=True, text=True
        )
        made = {suffix: Path(folder) / f"graph.ncnn{suffix}" for suffix in (".bin", ".param")}
        if not all(file.is_file() for file in made.values()):
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ProSRError(f"{path.name} needs a network that pnnx can translate, but: {reason}; try another format.")
        write_file(path.with_suffix(".json"), json.dumps(dict(facts)))
        for suffix, file in made.items():  # the graph last, which is looked for
            write_file(path.with_suffix(suffix), file.read_bytes())


def open_ncnn(path: Path, threads: int | None = None) -> tuple[Callable[[Planes], Planes], Mapping[str, str]]:
    """Return what enlarges `(N, 1, H, W)` in float32, and the facts.

    Args:
        path: The `.param`.
        threads: Of the processor; None for as many as ncnn likes.

    Raises:
        MissingDependencyError: If ncnn is not installed.
        CheckpointError: If a file is missing or damaged.
    """
    try:
        import ncnn  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MissingDependencyError(
            "engine=ncnn needs the package ncnn, which is not installed; pip install ncnn."
        ) from error
    net = ncnn.Net()
    options = net.opt
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = options.use_bf16_storage = False
    if threads:
        options.num_threads = threads
    files = [path.with_suffix(suffix) for suffix in (".json", ".param", ".bin")]
    try:
        facts = json.loads(files[0].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{files[0]} cannot be read: {error}; export it again.") from error
    if not files[2].is_file() or net.load_param(str(files[1])) or net.load_model(str(files[2])):
        raise CheckpointError(f"{path} and its .bin cannot be run by ncnn; export it again.")

    def run(window: Planes) -> Planes:
        return np.stack([enlarged(image) for image in window])

    def enlarged(image: Planes) -> Planes:
        with net.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)))
            code, result = extractor.extract("out0")
            if code:
                raise MemoryError("ncnn: not enough memory")  # the one reason there is for a sound graph
            return np.array(result, np.float32)

    return run, facts
