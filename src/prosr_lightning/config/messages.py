"""What to tell a user about an error that is theirs to mend."""

from __future__ import annotations

import difflib
import errno
import re
import sys
from collections.abc import Callable
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from prosr_lightning.config.location import conf_dir
from prosr_lightning.config.schema import known_paths
from prosr_lightning.errors import ProSRError

_EXTRAS = {"hydra/launcher/joblib": "joblib", "hydra/launcher/submitit": "slurm", "hydra/sweeper/optuna": "optuna"}
_PLACE_ERRORS = (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError)


def run_reporting(command: Callable[[], Any]) -> int:
    """Run a command and report what its user can mend in one line, without a traceback.

    Args:
        command: Takes nothing; what it returns is ignored.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C.
    """
    try:
        command()
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C.", file=sys.stderr)  # noqa: T201  # the command's message to its user
        return 130
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)  # noqa: T201  # the command's message to its user
        return 1
    return 0


def user_message(error: BaseException) -> str | None:
    """Return what to tell the user about an error that is theirs to mend, or None if it is a defect."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for one in chain:
        if isinstance(one, ProSRError):
            return str(one)
    for one in chain:
        if message := _environment_message(one):
            return message
    for one in chain:
        if isinstance(one, (HydraException, OmegaConfBaseException)) and str(one).strip():
            return _hydra_message(one)
    return None


def _environment_message(error: BaseException) -> str | None:
    """Explain what the machine, a file or Lightning's own check of its settings refused."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
        where = f" at {error.filename}" if error.filename else ""
        return f"The disk must have room to write to{where}, got: {error.strerror}; free space or set paths.log_dir."
    if isinstance(error, OSError) and error.filename is not None and _concerns_a_place(error):
        return f"{error.filename} cannot be used: {error.strerror}; choose another place, such as paths.log_dir=DIR."
    if isinstance(error, UnicodeDecodeError) or type(error).__module__.startswith("yaml."):
        return f"A configuration file must be YAML in UTF-8: {' '.join(str(error).split())}; correct it."
    if type(error).__name__ == "MisconfigurationException":  # Lightning's, for trainer settings
        return _trainer_message(str(error))
    return _plugin_message(error)


def _trainer_message(text: str) -> str:
    """Explain what Lightning refuses among the settings of the trainer."""
    setting = re.search(r"manual optimization.*Trainer\((\w+)=(\S+)\)", text)
    if setting:
        key, value = setting.groups()
        return (
            f"`trainer.{key}` must be as experiment=prosrgan has it, since two networks are trained in turn, got "
            f"{value}; set model.{key}={value} instead."
        )
    if "Timer(" in text:
        return f"`trainer.max_time` must be days, hours, minutes and seconds, such as 00:00:10:00, but: {text}"
    return f"{text} Compare with conf/trainer, or choose trainer=cpu."


def _plugin_message(error: BaseException) -> str | None:
    """Explain what a plugin of Hydra found at the end of a sweep."""
    again = "the same command with sweep.resume=true goes on"
    if type(error).__module__.startswith("submitit."):
        return f"A job must end by itself, but: {str(error).strip().splitlines()[0]}; look into .submitit/, {again}."
    if isinstance(error, ValueError) and "No trials are completed yet" in str(error):
        return f"A search needs at least one job that finishes, got none; sweep.csv has their errors, {again}."
    return None


def _concerns_a_place(error: OSError) -> bool:
    """Tell whether a folder could not be made or used, rather than that some file is missing by our fault."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    made = frame is not None and frame.tb_frame.f_code.co_name in ("mkdir", "makedirs")
    return made or isinstance(error, _PLACE_ERRORS)


def _hydra_message(error: BaseException) -> str:
    """Say what Hydra or OmegaConf found wrong, with the nearest valid key where a key is the reason."""
    text = str(error).strip()
    text = re.sub(r"\n\s*(full_key|object_type|reference_type)[:=].*", "", text)
    text = re.sub(r"To append to your config use \+?.*", "", text).strip()
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_override(match.group(1), text)
    match = re.search(r"In '[^']+': Could not find '([^']+)'", text) or re.search(r"Could not find '([^']+)'", text)
    if match:
        return _unknown_option(match.group(1), text)
    match = re.search(r"Error in call to target '([^']+)':\s*(\w+)\((.*)\)", text, re.DOTALL)
    if match:
        target, _, reason = match.groups()
        node = re.search(r"full_key: (\S+)", str(error))
        where = node.group(1) if node else target.rsplit(".", maxsplit=1)[-1]
        return (
            f"`{where}` must have values of the right kind, got: {reason.strip(chr(34) + chr(39))}; compare with conf/."
        )
    return " ".join(text.split("\n"))


def _unknown_override(key: str, text: str) -> str:
    if key == "structure":  # a group of method=prosrn
        return "`structure` belongs to method=prosrn, got another method; leave structure=... out, or choose prosrn."
    known = sorted(known_paths())
    last = key.rsplit(".", maxsplit=1)[-1]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5) or [
        one
        for one in known
        if one.split(".")[-1] in difflib.get_close_matches(last, [k.split(".")[-1] for k in known], n=1)
    ]
    if key in known:
        return f"The override must name a key of this command and method, got {key!r}, which belongs to another."
    hint = f"the nearest valid key is {near[0]!r}" if near else "see conf/ for the valid keys"
    return f"The override must name a key of the configuration, got {key!r}; {hint}."


def _unknown_option(option: str, text: str) -> str:
    group, _, name = option.partition("/")
    folder = conf_dir() / group
    for words, extra in _EXTRAS.items():
        if option.startswith(words):
            return f"{option} needs a plugin of Hydra that is not installed: pip install 'prosr-lightning[{extra}]'."
    if not folder.is_dir():
        return " ".join(text.split("\n"))
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"the nearest is {near[0]!r}; " if near else ""
    return f"`{group}` must be one of {', '.join(names)}, got {name!r}; {hint}choose one of them."
