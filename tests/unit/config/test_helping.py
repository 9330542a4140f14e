from __future__ import annotations

import pytest

from prosr_lightning.config.helping import help_text
from prosr_lightning.config.location import conf_dir


def test_groups_that_a_person_chooses_from_are_there_with_what_their_files_say():
    text = help_text("train")
    assert "\nbudget=paper\n  cpu                  Minutes on two CPU cores: " in text
    assert "\nstructure\n  memory               Every convolution sees the entry features too, Fig. 6; " in text
    assert "  bicubic              MATLAB's antialiased bicubic downscaling (Sec. 2.2).\n" in text  # not cut at "Sec."
    groups = text.partition("\nKeys\n")[0]
    assert not [group for group in ("recipe", "hydra", "paths", "callbacks", "shared") if f"\n{group}" in groups]


def test_keys_have_their_values_and_comments():
    text = help_text("train").partition("\nKeys\n")[2]
    assert "\nseed: 0               # of weights, patches and augmentation\n" in text
    assert "\n  crop: 128           # side of the HR patch\n" in text  # of data/shared
    assert text.count("\n  val_limit: ") == 1
    assert "val_limit: 10  # 0801 to 0810" in text  # of data/div2k, after shared
    assert "\n# budget=paper sets\n  data:\n    crop: 128                 # LapSRN\n" in text


def test_a_chosen_option_is_shown_with_its_keys():
    assert "train_dir:" not in help_text("train")
    text = help_text("train", ["data=folder", "depth=3"])
    assert "\ndata=folder\n" in text
    assert "\n  train_dir: null\n" in text


def test_the_users_own_groups_are_there(tmp_path, monkeypatch):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "tiny.yaml").write_text("# @package model.generator\n# Ours: the smallest.\nscale: 2\n")
    monkeypatch.setattr("sys.argv", ["train", "--config-dir", str(tmp_path)])
    assert "  tiny                 Ours: the smallest.\n" in help_text("train")


def test_evaluate_has_its_own():
    text = help_text("evaluate")
    assert text.startswith("Score a method on benchmarks")
    assert "\nmethod: null          # bicubic; or" in text
    assert "experiment" not in text.partition("\nKeys\n")[0]


@pytest.mark.parametrize(
    "path", sorted(conf_dir().glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}={path.stem}"
)
def test_every_option_says_what_it_is(path):
    if path.parent.name not in ("callbacks", "hydra"):
        assert any(line.startswith("# ") and "@package" not in line for line in path.read_text().splitlines())
