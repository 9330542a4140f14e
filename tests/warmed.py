"""What a process has imported and read that commands are forked from, see `processes`."""

from hydra import compose, initialize_config_dir

import prosr_lightning.evaluate.task
import prosr_lightning.train.task  # noqa: F401
from prosr_lightning.config import conf_dir, validate

for name in ("train", "evaluate"):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        validate(compose(name, overrides=["paths.output_dir=out"]), name)
