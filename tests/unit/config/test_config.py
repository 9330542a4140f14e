from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, InstantiationException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict

from prosr_lightning.config import conf_dir, location, schema, user_message, validate
from prosr_lightning.config.schema import known_values, make_lists
from prosr_lightning.console import run_reporting
from prosr_lightning.errors import CheckpointError, ConfigError

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


def composed(*overrides, output_dir="out"):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        return compose("train", overrides=[f"paths.output_dir={output_dir}", *overrides])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("budget", ["paper", "cpu"])
def test_every_experiment_composes_and_is_valid(experiment, budget):
    cfg = composed(f"experiment={experiment}", f"budget={budget}")
    validate(cfg, "train")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_opens_with_what_it_is(experiment):
    lines = (conf_dir() / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")


@pytest.mark.parametrize(
    "group", ["structure", "levels", "budget", "data", "degradation", "trainer", "logger", "debug"]
)
def test_every_option_of_every_group_composes(group):
    options = [path.stem for path in (conf_dir() / group).glob("*.yaml") if path.stem != "shared"]
    assert options
    for option in options:
        validate(composed(f"{group}={option}"), "train")


def test_the_defaults_are_the_papers_and_the_constructors():
    import inspect

    from prosr_lightning.lit.prosrn import LitProSRN
    from prosr_lightning.networks import Generator

    cfg = composed()
    written = OmegaConf.to_container(cfg.model, resolve=True)
    for constructor, node in ((Generator, written["generator"]), (LitProSRN, written)):
        for name, parameter in inspect.signature(constructor).parameters.items():
            if parameter.default in (inspect.Parameter.empty, None) or name in ("generator", "optimizer"):
                continue
            value = tuple(node[name]) if isinstance(node[name], list) else node[name]
            assert value == parameter.default, name
    assert cfg.optimizer.lr == 1e-4
    assert (cfg.data.crop, cfg.data.batch_size, cfg.data.patches_per_epoch) == (128, 64, 125_000)


def test_the_optimizer_and_the_schedule_can_be_built():
    import torch

    for budget in ("paper", "cpu"):
        cfg = composed(f"budget={budget}")
        optimizer = instantiate(cfg.optimizer, _convert_="all")([torch.nn.Parameter(torch.zeros(1))])
        assert optimizer.defaults["betas"] == (0.9, 0.999) or optimizer.defaults["betas"] == [0.9, 0.999]
        assert instantiate(cfg.scheduler, _convert_="all")(optimizer).get_last_lr()


@pytest.mark.parametrize(
    ("path", "key", "nearest"),
    [
        ("", "dpeth", "depth"),
        ("data", "batchsize", "batch_size"),
        ("model", "ema_decey", "ema_decay"),
        ("model.generator", "chanels", "channels"),
        ("trainer", "max_epoch", "max_epochs"),
        ("scheduler", "final_fration", "final_fraction"),
        ("optimizer", "learning_rate", None),
        ("callbacks.last", "every_minute", "every_minutes"),
        ("callbacks", "bset", "best"),
        ("paths", "datadir", "data_dir"),
        ("test", "benchmark", "benchmarks"),
    ],
)
def test_a_mistyped_key_is_found_wherever_it_stands(path, key, nearest):
    """As an experiment file could add it: below nodes with a target, partial ones too, and below plain ones."""
    cfg = composed("budget=cpu")
    with open_dict(cfg):
        OmegaConf.update(cfg, f"{path}.{key}".strip("."), 1, force_add=True)
    with pytest.raises(ConfigError) as caught:
        validate(cfg, "train")
    assert f"must not hold the key {key!r}" in str(caught.value)
    if nearest:
        assert f"nearest valid key is {nearest!r}" in str(caught.value)


def test_a_target_that_cannot_be_imported_is_named():
    cfg = composed()
    cfg.model.generator._target_ = "prosr_lightning.networks.Genrator"
    with pytest.raises(ConfigError, match=r"model\.generator\._target_ must be something that can be imported"):
        validate(cfg, "train")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("dpeth=4", "got 'dpeth'; the nearest valid key is 'depth'"),
        ("data.crops=64", "the nearest valid key is 'data.crop'"),
        ("model.generator.chanels=8", "the nearest valid key is 'model.generator.channels'"),
        ("trainer.max_epoch=3", "the nearest valid key is 'trainer.max_epochs'"),
        (("method=srcnn", "scale=2", "structure=plain"), "`structure` belongs to method=prosrn"),
        ("experiment=prosn", "got 'prosn'; the nearest is 'prosrn'"),
        (
            "structure=memry",
            "`structure` must be one of memory, plain, residual, subpixel, got 'memry'; the nearest is 'memory'",
        ),
    ],
)
def test_a_wrong_override_is_explained(override, expected):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # Hydra raises several kinds
        composed(*([override] if isinstance(override, str) else override))
    assert expected in user_message(caught.value)


@pytest.mark.parametrize("what", ["Could not find", "In 'hydra/launcher/slurm': Could not load"])
def test_a_plugin_that_is_not_installed_is_named_by_its_extra(what):
    """Hydra says "load" where a file of ours, `hydra/launcher=slurm`, begins with one of the plugin."""
    error = MissingConfigException(f"{what} 'hydra/launcher/submitit_slurm'.\n\nConfig search path:\n\tprovider=hydra")
    expected = "hydra/launcher/submitit_slurm needs a plugin of Hydra that is not installed: pip install"
    assert user_message(error) == f"{expected} 'prosr-lightning[slurm]'."


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("data.include=gb82", "data.include", ["gb82"]),
        ("data.exclude=[a,b]", "data.exclude", ["a", "b"]),
        ("data.shrink=0.5", "data.shrink", [0.5]),
        ("val_scales=4", "val_scales", [4]),
        ("val_scales=null", "val_scales", None),
        ("test.scales=4", "test.scales", [4]),
        ("test.perceptual=gmsd", "test.perceptual", ["gmsd"]),
        ("test.benchmarks=validation", "test.benchmarks", "validation"),
    ],
)
def test_a_single_value_is_a_list_where_the_tree_has_lists(override, path, expected):
    cfg = composed("data=folder", override)
    make_lists(cfg)
    assert OmegaConf.select(cfg, path) == expected


def test_an_error_of_the_users_is_one_line_without_a_traceback(capsys):
    def command():
        try:
            raise CheckpointError("The checkpoint must exist; choose another.")
        except CheckpointError as error:
            raise ConfigCompositionException("in some wrapper") from error

    assert run_reporting(command) == 1
    assert capsys.readouterr().err == "error: The checkpoint must exist; choose another.\n"


def test_a_full_disk_is_an_error_of_the_users(capsys):
    def command():
        raise OSError(errno.ENOSPC, "No space left on device", "some/file")

    assert run_reporting(command) == 1
    assert "must have room to write to at some/file" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback():
    def command():
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        run_reporting(command)


def test_ctrl_c_exits_with_130(capsys):
    def command():
        raise KeyboardInterrupt

    assert run_reporting(command) == 130
    assert "Ctrl-C" in capsys.readouterr().err


def test_the_configuration_is_found_beside_a_checkout():
    assert conf_dir() == Path(__file__).resolve().parents[3] / "conf"


def test_a_file_of_the_tree_that_was_written_again_is_read_again(tmp_path, monkeypatch):
    for module in (location, schema):
        monkeypatch.setattr(module, "conf_dir", lambda: tmp_path)
    for seconds, depth in enumerate((4, 4, 6)):
        (tmp_path / "train.yaml").write_text(f"depth: {depth}\n")
        os.utime(tmp_path / "train.yaml", (seconds, seconds))
        assert known_values() == {"depth": [depth]}


@pytest.mark.parametrize("method", [None, "bicubic"])
def test_the_method_of_evaluate_is_a_word_and_no_group_without_its_package(method):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        cfg = compose("evaluate", overrides=["paths.output_dir=out"])
    cfg.method = method
    validate(cfg, "evaluate")


def test_the_tree_is_found_without_words_and_with_a_folder_of_ones_own(monkeypatch, tmp_path):
    from prosr_lightning.config.location import conf_dirs

    monkeypatch.setattr("sys.argv", ["train"])
    assert conf_dirs() == [conf_dir()]
    monkeypatch.setattr("sys.argv", ["train", "depth=4", "--config-dir", str(tmp_path)])
    assert tmp_path in conf_dirs()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["logger=many"], {"csv", "wandb", "tensorboard"}),
        (["logger=[tensorboard,mlflow]"], {"csv", "tensorboard", "mlflow"}),
        (["logger=[csv,wandb]", "logger.wandb.offline=true"], {"csv", "wandb"}),
    ],
)
def test_several_loggers_are_chosen_at_once(words, names):
    cfg = composed(*words)
    validate(cfg, "train")
    assert {name for name, node in cfg.logger.items() if node is not None} == names


def test_what_a_call_complained_of_keeps_its_own_quotes():
    error = InstantiationException(
        "Error in call to target 'a.b':\nTypeError(\"b() got an unexpected keyword argument 'x'\")\nfull_key: model"
    )
    expected = "`model` must have values of the right kind, got: b() got an unexpected keyword argument 'x'; compare"
    assert user_message(error).startswith(expected)
