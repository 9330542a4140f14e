"""What is known of the configuration tree: the one table of its top-level keys and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prosr_lightning.imaging.io import CACHE


@dataclass(frozen=True, kw_only=True)
class TreePart:
    """What a top-level key of `conf/train.yaml`, or a group of `conf/`, is.

    Attributes:
        course: It decides what is trained: a run that differs in it is another run.
        spoken: The name of a run says it by other means, or leaves it out.
        tag: The choice of the group is a tag of the run.
        package: Where the files of the group must put their keys, `# @package ...`; no key of its own.
        optional: The group may be null.
        open: Holds named nodes, each with a `_target_` of anybody's.
        instead: What to choose where the whole part was taken out or replaced by a word.
    """

    course: bool = False
    spoken: bool = False
    tag: bool = False
    package: str = ""
    optional: bool = False
    open: bool = False
    instead: str = ""


TREE: Mapping[str, TreePart] = {
    "task_name": TreePart(spoken=True),
    "tags": TreePart(spoken=True),
    "notes": TreePart(spoken=True),
    "print_config": TreePart(spoken=True),
    "seed": TreePart(course=True),
    "depth": TreePart(course=True, spoken=True),
    "scale": TreePart(course=True, spoken=True),
    "val_scales": TreePart(course=True, spoken=True),
    "ckpt_path": TreePart(spoken=True),
    "init_from": TreePart(course=True, spoken=True),
    "trusted_networks": TreePart(spoken=True),
    "fine_tuning_rate": TreePart(course=True),
    "data": TreePart(course=True, spoken=True, instead="data=sample needs no download"),
    "degradation": TreePart(course=True, instead="degradation._target_=CLASS chooses another"),
    "model": TreePart(course=True, instead="choose model=prosrn or model=prosrgan"),
    "levels": TreePart(course=True, spoken=True, instead="choose levels=x2"),
    "optimizer": TreePart(course=True, optional=True, instead="optimizer._target_=CLASS chooses another"),
    "scheduler": TreePart(course=True, optional=True, instead="scheduler=null keeps the rate"),
    "trainer": TreePart(spoken=True, instead="choose trainer=cpu"),
    "callbacks": TreePart(spoken=True, open=True, instead="callbacks.NAME=null leaves one out"),
    "logger": TreePart(spoken=True, open=True, instead="logger=none trains without a log"),
    "test": TreePart(spoken=True, instead="test.benchmarks=null scores nothing"),
    "paths": TreePart(spoken=True, instead="paths.log_dir=DIR names another folder"),
    "sweep": TreePart(spoken=True, instead="sweep.resume=true goes on with a sweep"),
    "experiment": TreePart(spoken=True, tag=True, package="_global_", optional=True),
    "method": TreePart(spoken=True, tag=True, package="model.generator"),
    "structure": TreePart(spoken=True, tag=True, package="model.generator"),
    "budget": TreePart(spoken=True, tag=True, package="_global_"),
    "recipe": TreePart(package="_global_", optional=True),
    "debug": TreePart(spoken=True, package="_global_", optional=True),
    "hparams_search": TreePart(spoken=True, package="_global_", optional=True),
    "hydra": TreePart(spoken=True),
}

FREE = frozenset({"trainer.devices"})  # keys of several kinds: a number, a list or "auto"
ASIDE = frozenset(  # last parts of keys that say where and with what help, not what is trained
    {"cache_dir", "data_dir", "num_workers", "default_root_dir", "enable_progress_bar", "enable_model_summary"}
    | {"log_every_n_steps", "profiler"}
)
COMPARED = ("val_scales", "data.val_sets", "data.val_limit", "data.held_out", "data._target_")  # what a score is of
REPEATED = (
    "paths",
    "sweep",
    "tags",
    "notes",
    "print_config",
    "trainer.enable_progress_bar",
)  # what the repetition of a job may change
PORTABLE: Mapping[str, str | None] = {  # keys that name a place, and what a portable checkpoint has there
    "train_dir": "data/train",
    "data_dir": "data",
    "cache_dir": CACHE,
    "log_dir": "logs",
    "output_dir": "run",
    "default_root_dir": "run",
    "save_dir": "run",
    "dirpath": "run/checkpoints",
    "tracking_uri": None,
    "artifact_location": None,
    "init_from": None,
    "ckpt_path": None,
}
EXTRAS = {  # what options of groups need
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit": "slurm",
    "hydra/sweeper/optuna": "optuna",
    "logger/tensorboard": "tensorboard",
    "logger/mlflow": "mlflow",
}
