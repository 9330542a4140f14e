from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prosr_lightning.data.pairs import PairsDataModule
from prosr_lightning.errors import ConfigError, DataError
from prosr_lightning.imaging.degradation import Jpeg


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Photographs whose every pixel says where it is, and LR images that say the same of every fourth, less 5."""
    hr, lr = tmp_path / "HR", tmp_path / "LR"
    hr.mkdir()
    lr.mkdir()
    for number, (height, width) in enumerate([(64, 80), (72, 48), (64, 64)]):
        rows, columns = np.mgrid[:height, :width]
        pixels = np.stack([rows * 2 + 40, columns * 2 + 40, np.full_like(rows, 60 * number + 40)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(hr / f"000{number}.png")
        Image.fromarray(pixels[::4, ::4] - np.uint8(5)).save(lr / f"000{number}x4m.png")
    return hr, lr


@pytest.fixture
def make(folders, tmp_path):
    def make_data(**changes) -> PairsDataModule:
        settings = {
            "hr_dir": folders[0],
            "lr_dir": folders[1],
            "levels": [2, 4],
            "crop": 16,
            "batch_size": 40,
            "patches_per_epoch": 40,
            "num_workers": 0,
            "cache_dir": tmp_path / "cache",
        }
        return PairsDataModule(**(settings | changes))

    return make_data


def batch_of(data: PairsDataModule) -> dict:
    data.prepare_data()
    data.setup("fit")
    return data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("planes", [None, "equal"])
def test_lr_patches_lie_where_hr_patches_do(make, augment, planes):
    """Turned alike too: the corner of LR is the darker corner of HR, but for the 5 codes by which LR is darker."""
    batch = batch_of(make(augment=augment, planes=planes))
    lr, hr = batch["lr"], batch["hr"][4]
    assert (lr.shape, hr.shape, batch["hr"][2].shape) == ((40, 1, 4, 4), (40, 1, 16, 16), (40, 1, 8, 8))
    # the HR pixel of an LR pixel is one of the four corners of its 4x4 pixels, which one being a matter of the turn
    corners = torch.stack([hr[..., top::4, left::4] for top in (0, 3) for left in (0, 3)])
    darker = 5 * 219 / 255 / 255 if planes is None else 0
    errors = (corners - lr - darker).abs().amax(dim=(2, 3, 4)).amin(dim=0)
    assert (errors < (1.1 if planes is None else 5.1) / 255).all()
    assert lr.std() > 0.05


def test_pairs_are_held_out_for_validation_and_never_trained(make):
    data = make()
    (held_out,) = data.validation_sets()
    assert [path.name for path in held_out.images] == ["0000.png"]
    assert [path.name for path in data.training_photographs()] == ["0001.png", "0002.png"]
    data.validate_at([4])
    image = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    assert (image["hr"].shape, image["lr"][4].shape) == ((1, 1, 64, 80), (1, 1, 16, 20))
    assert torch.allclose(image["lr"][4], image["hr"][..., ::4, ::4] - 5 * 219 / 255 / 255, atol=1e-5)
    with pytest.raises(ConfigError, match=r"`val_scales` must be \[4\], the factor of the LR images .*, got \[2, 4\]"):
        data.validate_at([2, 4])


def test_validation_pairs_can_be_given(make, folders):
    data = make(val_hr_dir=folders[0], val_lr_dir=str(folders[1]))
    assert len(data.validation_sets()[0].images) == 3
    assert data.training_photographs() == []
    with pytest.raises(ConfigError, match="`val_hr_dir` and `val_lr_dir` must be given together"):
        make(val_hr_dir=folders[0])


def test_all_pairs_that_do_not_fit_are_named_before_anything_is_decoded(make, folders, tmp_path):
    lr = folders[1]
    Image.new("RGB", (20, 15)).save(lr / "0000x4m.png")
    (lr / "0002x4m.png").write_text("not a picture")
    with pytest.raises(DataError, match="2 of 3 pairs of images cannot be used at 4x") as caught:
        make().prepare_data()
    assert "0000x4m.png must be smaller than 0000.png by 4, 20x16 pixels, got 20x15." in str(caught.value)
    assert "0002x4m.png cannot be read" in str(caught.value)
    assert not (tmp_path / "cache").exists()
    (lr / "0002x4m.png").unlink()
    with pytest.raises(DataError, match="must have a LR image at 4x for each image of HR, found none for 0002.png"):
        make().training_photographs()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"degradation": Jpeg()}, "`degradation` has no meaning for LR images that are given, got JPEG q30-95"),
        ({"shrink": [0.5]}, r"`shrink` needs LR images of other sizes than those that are given, got \[0.5\]"),
        ({"level_shares": "equal"}, "`level_shares` needs LR images of other sizes"),
    ],
)
def test_settings_without_a_meaning_are_refused(make, changes, message):
    with pytest.raises(ConfigError, match=message):
        make(**changes)


@pytest.mark.parametrize("name", ["hr_dir", "lr_dir"])
def test_both_folders_must_be_named(make, name):
    with pytest.raises(DataError, match=rf"data\.{name} must name a folder of images, got nothing"):
        make(**{name: None})
