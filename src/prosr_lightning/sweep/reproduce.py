"""The paper's tables and figures from nothing: `python -m prosr_lightning.reproduce budget=cpu`, or `make reproduce`.

Runs a sweep for each of Tables 2 to 4, Figure 7 and the open readings of the paper, LapSRN for comparison, and then the
reports. What finished is not run again when the command is repeated, and a job that was stopped goes on where it was.

Words, in any order:

    budget=NAME    cpu (default) or paper, see conf/budget
    minutes=N      length of each training instead of the budget's
    steps=N        updates of each training instead of a time: the same for all, however busy the machine is
    seeds=0,1,2    each setting with each of them (default 0); later ones can be added at the end
    train=DIR      photographs to train on; without it budget=cpu takes those that come with scikit-image, scored on the
                   one held out, and budget=paper DIV2K
    data=DIR       benchmark and validation sets (default: paths.data_dir)
    out=DIR        where everything goes (default logs/reproduce/BUDGET)
    KEY=VALUE      anything else is a word for every training: trainer=gpu, data.num_workers=8
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from prosr_lightning.console import run_reporting, say
from prosr_lightning.errors import ConfigError
from prosr_lightning.runs.sweeps import TABLE
from prosr_lightning.sweep.multirun import REFUSED
from prosr_lightning.words import WordParser, quoted

# Each sweep by the name of its folder. The rival of Table 2 is trained by the experiment of the race.
SWEEPS: Mapping[str, tuple[str, ...]] = {
    "structure_ablation": ("experiment=structure_ablation", "structure=plain,residual,memory"),
    "mixed_levels": ("experiment=mixed_levels", "levels=x2,x2_x4,x2_x4_x8"),
    "progressive": ("experiment=progressive",),
    "lapsrn": ("experiment=compare", "method=lapsrn", "scale=2,4,8"),
    "depth_sweep": ("experiment=depth_sweep", "depth=4,6,8,10,12"),
    "skip_alternatives": ("experiment=skip_alternatives", "model.generator.skip_every=1,2"),
    "fusion_alternatives": ("experiment=fusion_alternatives", "model.generator.fusion=conv,inception"),
}
# Each report by its file, with the sweeps it is made of.
REPORTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "table2.md": ("table=2", ("progressive", "lapsrn")),
    "table3.md": ("table=3", ("structure_ablation",)),
    "table4.md": ("table=4", ("mixed_levels",)),
    "table6.md": ("table=6", ("mixed_levels", "lapsrn")),
    "skip.md": ("table=race", ("skip_alternatives",)),
    "fusion.md": ("table=race", ("fusion_alternatives",)),
    "figure7.png": ("figure=7", ("depth_sweep",)),
    "report.html": ("", tuple(SWEEPS)),
}

_CPU_BATCH = 16  # conf/budget/cpu.yaml


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What to run: a command for each sweep, as words for `python -m`, and the folder of it all."""

    trainings: Mapping[str, list[str]]
    out: Path
    train: Path | None = None


def make_plan(words: Sequence[str]) -> Reproduction:
    """Turn the words of the command line into commands.

    Returns:
        The plan.

    Raises:
        ConfigError: If a word has not the form or the value that is needed.

    Examples:
        >>> plan = make_plan(["budget=cpu", "minutes=2", "seeds=0,1"])
        >>> " ".join(plan.trainings["mixed_levels"][2:5])
        'seed=0,1 experiment=mixed_levels levels=x2,x2_x4,x2_x4_x8'
    """
    parser = WordParser(__doc__ or "")
    parser.add_word("budget", choices=("cpu", "paper"), default="cpu")
    for key in ("minutes", "steps"):
        parser.add_word(key, type=_positive, metavar="N")
    parser.add_word("seeds", type=_seeds, default="0")
    for key in ("train", "data", "out"):
        parser.add_word(key, type=lambda text: Path(text).expanduser())
    own = {f"{key}=" for key in parser.keys}  # `make` passes what is not set as nothing
    options, others = parser.parse_words([word for word in words if word not in own], others=True)
    if options.minutes and options.steps:
        raise ConfigError(f"One of minutes and steps may be given, got {options.minutes} and {options.steps}.")
    out: Path = options.out or Path("logs") / "reproduce" / options.budget
    common = [*_common(options), *others]
    return Reproduction(
        trainings={
            name: [
                "prosr_lightning.train",
                "-m",
                f"seed={options.seeds}",  # first: seeds added at its end are jobs added at the end
                *sweep,
                *common,
                f"hydra.sweep.dir={quoted(out / name)}",
                "sweep.resume=true",
            ]
            for name, sweep in SWEEPS.items()
        },
        out=out,
        train=options.train,
    )


def report_commands(out: Path) -> dict[str, list[str]]:
    """Return the command of each report, as words for `python -m`, of the sweeps that are there."""
    commands = {}
    for file, (what, names) in REPORTS.items():
        there = [str(out / name) for name in names if (out / name / TABLE).is_file()]
        runs = f"{'runs' if what else 'sweep'}=[{','.join(there)}]"
        if there:
            commands[file] = ["prosr_lightning.report", *([what] if what else []), runs, f"out={out / file}"]
    return commands


def run(plan: Reproduction) -> int:
    """Run the sweeps and then the reports.

    Returns:
        The exit code: 0; 1 if a job or a report failed, which does not stop the others; 2 if a sweep was refused, which
        does; that of a sweep if stopped.

    Raises:
        ConfigError: If there is no such folder of photographs.
    """
    if plan.train is not None and not plan.train.is_dir():
        raise ConfigError(f"`train` must be a folder of photographs, got {plan.train}; correct the path.")
    failed = []
    for name, command in plan.trainings.items():
        if (code := _run(command)) == REFUSED:
            say(f"error: {name} was refused, see above; nothing after it was run.")
            return code
        if code > 1 or code < 0:
            say(f"Stopped during {name}; the same command goes on from there.")
            return code if code > 0 else 128 - code
        failed += [name] if code else []
    failed += [file for file, command in report_commands(plan.out).items() if _run(command)]
    if failed:
        say(f"error: not complete: {', '.join(failed)}; the same command runs again what did not finish.")
    return 1 if failed else 0


def _positive(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]*", text):
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}; choose e.g. 10")
    return int(text)


def _seeds(text: str) -> str:
    if not re.fullmatch("[0-9]+(,[0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"must be whole numbers with commas between, got {text!r}; choose e.g. 0,1")
    return text


def _common(options: argparse.Namespace) -> list[str]:
    """Return the words that every sweep gets."""
    on_cpu = options.budget == "cpu"
    words = [f"budget={options.budget}", *(["trainer=cpu"] if on_cpu else [])]
    if options.train:
        words += ["data=folder", f"data.train_dir={quoted(options.train)}"]
    elif on_cpu:
        words += ["data=sample", *([] if options.data else ["test.benchmarks=validation"])]
    if options.data:
        words.append(f"paths.data_dir={quoted(options.data)}")
    if options.minutes:
        hours, minutes = divmod(options.minutes, 60)
        days, hours = divmod(hours, 24)
        words.append(f'trainer.max_time="{days:02}:{hours:02}:{minutes:02}:00"')
    if options.steps:
        words += [f"trainer.max_steps={options.steps}", "trainer.max_epochs=-1", "trainer.max_time=null"]
        if on_cpu:  # five validations, however few the steps
            words.append(f"data.patches_per_epoch={_CPU_BATCH * max(1, options.steps // 5)}")
    return words


def _run(words: Sequence[str]) -> int:
    """Run one command, hand Ctrl-C and SIGTERM on to it, and wait until it has saved."""
    say(f"$ python -m {' '.join(words)}")
    with subprocess.Popen([sys.executable, "-m", *words], start_new_session=True) as child:

        def hand_on(number: int, frame: FrameType | None) -> None:  # signal's signature
            child.send_signal(number)

        previous = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return child.wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def main() -> int:
    """Reproduce as the command line says, and return the exit code."""
    if set(sys.argv[1:]) & {"-h", "--help"}:
        sys.stdout.write(f"{__doc__}")
        return 0
    codes: list[int] = []
    return run_reporting(lambda: codes.append(run(make_plan(sys.argv[1:])))) or codes[0]
