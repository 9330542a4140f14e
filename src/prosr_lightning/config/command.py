"""Commands configured by Hydra, whose users see one clear line for each mistake."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.helping import help_text
from prosr_lightning.config.location import conf_dir, conf_dirs
from prosr_lightning.config.messages import user_message
from prosr_lightning.config.ranks import is_first
from prosr_lightning.config.schema import make_lists, primary, validate
from prosr_lightning.config.tree import TREE, TreePart
from prosr_lightning.console import answer, run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.runs.folder import remove_if_unused
from prosr_lightning.words import quoted


def hydra_main(
    config_name: str, *, sweep_job: Callable[[DictConfig, Callable[[], Any]], Any] | None = None
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn `def main(cfg)` into a command whose users see one clear line for each mistake.

    Args:
        config_name: The primary configuration, without `.yaml`.
        sweep_job: Runs one job of a multirun, of a command that keeps records of its jobs; see `sweep.multirun`.

    Returns:
        A decorator. The command checks every key first, prints a `ProSRError` or a wrong override as "error: ..." and
        exits with 1 (130 after Ctrl-C); any other exception keeps its traceback.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def checked(cfg: DictConfig) -> Any:  # noqa: ANN401  # the task's own type
            def job() -> Any:  # noqa: ANN401  # the task's own type
                _unwrap(cfg)
                make_lists(cfg)
                validate(cfg, config_name)
                return task(cfg)

            if sweep_job is not None and _in_multirun():
                return sweep_job(cfg, job)
            results: list[Any] = []
            try:
                if code := run_reporting(lambda: results.append(job()), user_message):
                    raise SystemExit(code)  # passes through Hydra, which would add a line of its own
            finally:
                folder = Path(HydraConfig.get().runtime.output_dir)
                if is_first():
                    remove_if_unused(folder, Path(OmegaConf.select(cfg, "paths.log_dir") or folder).absolute())
            return results[0]

        def command() -> None:
            if {"-h", "--help"} & set(sys.argv[1:]):
                sys.exit(run_reporting(lambda: answer(help_text(config_name, sys.argv[1:]))))
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise to us; Hydra would print and exit by itself
            wrapped = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(checked)

            def checked_words() -> None:
                sys.argv[1:] = checked_choices([_wrap(word, config_name) for word in sys.argv[1:]])
                if {"-m", "--multirun"} & set(sys.argv) and any(word[:5] in ("-c", "--cfg") for word in sys.argv):
                    raise ConfigError("--cfg shows one job, got -m; leave -m out and give each key one value.")
                wrapped()

            sys.exit(run_reporting(checked_words, user_message))

        command.__doc__ = task.__doc__
        return command

    return decorate


def _in_multirun() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


_VALUE = "plain_value"
_NOTHING = "''"  # an empty word


def _wrap(word: str, config_name: str) -> str:
    """Let a word set a plain key of this command that is also a group, which another command chooses from.

    `method=bicubic` of `evaluate` is such a word: Hydra takes every key that names a folder of `conf/` for a choice,
    unless its value is a mapping. `_unwrap` takes the mapping off again.
    """
    key, equals, value = word.partition("=")
    plain = key.lstrip("+")
    if not (equals and plain.isidentifier() and (conf_dir() / plain).is_dir()):
        return word
    own = primary(config_name)
    if plain not in own or OmegaConf.is_dict(own[plain]):
        return word
    if value[:1] not in "'\"" and value not in ("null", "~"):  # a name, whatever signs are in it
        value = quoted(value)
    return f"{key}={{{_VALUE}: {value or _NOTHING}}}"


def _unwrap(cfg: DictConfig) -> None:
    for key in cfg:
        if OmegaConf.is_dict(cfg[key]) and set(cfg[key]) == {_VALUE}:
            cfg[key] = cfg[key][_VALUE]


def checked_choices(words: Iterable[str]) -> list[str]:
    """Refuse `levels=[2,4]`, `budget=null`, `logger=false` and the like, on which Hydra itself stumbles.

    Returns:
        The words; `~GROUP`, by which Hydra leaves a choice out, for `GROUP=null` of what may be left out.

    Raises:
        ConfigError: With the options of the group.
    """
    return [_checked_choice(word) for word in words]


def _checked_choice(word: str) -> str:
    key, _, value = word.partition("=")
    names = sorted(path.stem for folder in conf_dirs() for path in (folder / key).glob("*.yaml")) if key else []
    optional = TREE.get(key, TreePart()).optional
    if not names:
        return word
    if optional and value.lower() in ("null", "none"):
        return f"~{key}"
    chosen = [option.strip() for option in value.split(",")]
    wrong = re.match(r"\[\s*\d|\d+$|null$|false$|true$|$", value, re.IGNORECASE)
    # Hydra would leave out a recipe that there is none of
    if wrong or (optional and "null" in chosen) or (key == "recipe" and not set(chosen) <= set(names)):
        remedy = f"; {key}=null alone leaves it out" if optional else "; choose one of them"
        raise ConfigError(f"`{key}` must be one of {', '.join(names)}, got {word!r}{remedy}.")
    return word
