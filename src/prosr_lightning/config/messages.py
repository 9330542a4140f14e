"""What to tell a user about an error that is theirs to mend."""

from __future__ import annotations

import difflib
import re

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from prosr_lightning.config.location import conf_dirs
from prosr_lightning.config.schema import known_paths, known_values, parameters
from prosr_lightning.config.tree import EXTRAS
from prosr_lightning.console import causes, explain


def user_message(error: BaseException) -> str | None:
    """Return what to tell the user about an error that is theirs to mend, or None if it is a defect.

    Knows the errors of Hydra, OmegaConf, YAML and Lightning beside those of `console.explain`.
    """
    if (message := explain(error)) is not None:
        return message
    for describe in (_library_message, _hydra_message):
        for cause in causes(error):
            if message := describe(cause):
                return message
    return None


def _library_message(error: BaseException) -> str | None:
    """Explain what YAML, a plugin or Lightning's own check of its settings refused."""
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
    if "Timer(" in text or "max_time" in text:
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


def _hydra_message(error: BaseException) -> str | None:
    """Say what Hydra or OmegaConf found wrong, with the nearest valid key where a key is the reason."""
    text = str(error).strip()
    if not isinstance(error, (HydraException, OmegaConfBaseException)) or not text:
        return None
    text = re.sub(r"\n\s*(full_key|object_type|reference_type)[:=].*", "", text)
    text = re.sub(r"To append to your config use \+?.*", "", text).strip()
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_override(match.group(1), text)
    match = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if match:
        return _unknown_option(match.group(1), text)
    match = re.search(r"Error in call to target '([^']+)':\s*(\w+)\((.*)\)", text, re.DOTALL)
    if match:
        target, kind, reason = match.groups()
        node = re.search(r"full_key: (\S+)", str(error))
        where = node.group(1) if node else target.rsplit(".", maxsplit=1)[-1]
        extra = EXTRAS.get(where.replace(".", "/"))
        if extra and kind in ("ModuleNotFoundError", "ImportError"):
            return f"`{where}` needs packages that are not installed: pip install 'prosr-lightning[{extra}]'."
        reason = re.sub(r"^(['\"])(.*)\1$", r"\2", reason, flags=re.DOTALL)  # those of Python's repr
        return f"`{where}` must have values of the right kind, got: {reason}; compare with conf/."
    return " ".join(text.split("\n"))


def _unknown_override(key: str, text: str) -> str:
    if key == "structure":  # a group of method=prosrn
        return "`structure` belongs to method=prosrn, got another method; leave structure=... out, or choose prosrn."
    known = sorted(known_paths(own=True))
    if key not in known and _takes(*key.rpartition(".")[::2]):
        return f"{key} stands in no file of conf/, which an override can only change; add it with +{key}=..."
    last = key.rsplit(".", maxsplit=1)[-1]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5) or [
        name
        for name in known
        if name.split(".")[-1] in difflib.get_close_matches(last, [k.split(".")[-1] for k in known], n=1)
    ]
    if key in known:
        return f"The override must name a key of this command and method, got {key!r}, which belongs to another."
    hint = f"the nearest valid key is {near[0]!r}" if near else "see conf/ for the valid keys"
    return f"The override must name a key of the configuration, got {key!r}; {hint}."


def _takes(node: str, argument: str) -> bool:
    """Tell whether what a node builds has an argument that the files of the tree do not mention."""
    targets = known_values().get(f"{node}._target_", [])
    return any(argument in (parameters(target, node) or ()) for target in targets)


def _unknown_option(option: str, text: str) -> str:
    group, _, name = option.rpartition("/")
    folders = [folder / group for folder in conf_dirs()]
    for words, extra in EXTRAS.items():
        if option.startswith(words):
            return f"{option} needs a plugin of Hydra that is not installed: pip install 'prosr-lightning[{extra}]'."
    names = sorted(path.stem for folder in folders for path in folder.glob("*.yaml"))
    if not names:
        return " ".join(text.split("\n"))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"the nearest is {near[0]!r}; " if near else ""
    return f"`{group}` must be one of {', '.join(names)}, got {name!r}; {hint}choose one of them."
