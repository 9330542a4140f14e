"""Measure what the light distribution saves: megabytes, seconds to install, seconds to the first picture.

`make measure-light` runs it with the wheels of both. Each is installed into an environment of its own from files that
were downloaded before, so that the seconds are those of the machine and not of the network.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from prosr_lightning.console import answer

_TIMES = 3  # of which the least counts: others use the machine too


def main() -> int:
    """Print a line for each wheel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("-c", "--constraints", type=Path, required=True, help="versions, as pip takes them")
    options = parser.parse_args()
    for wheel in options.wheels:
        answer(_measured(wheel, options.constraints))
    return 0


def _measured(wheel: Path, constraints: Path) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "wheel", "-w", str(folder / "files"), "-c", str(constraints), str(wheel)])
        _run([sys.executable, "-m", "venv", str(folder / "venv")])
        binaries, empty = folder / "venv" / "bin", _megabytes(folder / "venv")
        pip[0] = str(binaries / "python")
        seconds, _ = _timed([*pip, "install", "--no-index", "-f", str(folder / "files"), str(wheel)])
        picture = folder / "picture.png"
        Image.effect_noise((512, 512), 60).convert("RGB").save(picture)
        command = str(binaries / "prosr-upscale")
        enlarge = [command, "-i", str(picture), "-s", "2", "--overwrite", "-o", str(folder / "out")]
        helped, enlarged = (_least(lambda words=words: _timed(words)) for words in ([command, "--help"], enlarge))
        return (
            f"{wheel.name.split('-')[0]}: {_megabytes(folder / 'venv') - empty:.0f} MB, installed in {seconds:.0f} s; "
            f"--help {helped[0]:.2f} s ({helped[1]:.2f} s of the processor); "
            f"512x512 to 1024x1024, written: {enlarged[0]:.2f} s ({enlarged[1]:.2f} s of the processor)"
        )


def _megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _timed(command: Sequence[str]) -> tuple[float, float]:
    """Return seconds, and seconds of the processor, of a command and all that it starts."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, used


def _least(measure: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    measured = [measure() for _ in range(_TIMES)]
    return min(wall for wall, _ in measured), min(used for _, used in measured)


def _run(command: Sequence[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    raise SystemExit(main())
