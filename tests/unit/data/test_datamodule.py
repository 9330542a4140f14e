from __future__ import annotations

import pytest
import torch

from prosr_lightning.data.patches import BatchKey
from prosr_lightning.data.photographs import FolderDataModule
from prosr_lightning.data.validation import ShardSampler
from prosr_lightning.errors import ConfigError, DataError
from prosr_lightning.imaging.color import rgb_to_luminance
from prosr_lightning.imaging.degradation import Degradation
from prosr_lightning.imaging.io import read_rgb
from prosr_lightning.imaging.resize import bicubic_downscale


@pytest.fixture
def make(tmp_path, photographs):
    def make_data(*sizes: tuple[int, int], **changes) -> FolderDataModule:
        folder = photographs(*(sizes or ((64, 64), (48, 80))))[0].parent
        settings = {
            "train_dir": folder,
            "data_dir": tmp_path,
            "levels": [2, 4],
            "crop": 16,
            "batch_size": 3,
            "patches_per_epoch": 10,
            "num_workers": 0,
            "cache_dir": tmp_path / "cache",
        }
        return FolderDataModule(**(settings | changes))

    return make_data


def first_batch(data):
    data.prepare_data()
    data.setup("fit")
    return next(iter(data.train_dataloader()))


def test_a_batch_is_lr_and_the_ground_truth_of_every_level(make):
    data = make(val_sets=[])
    batch = data.on_after_batch_transfer(first_batch(data), 0)
    assert batch["lr"].shape == (3, 1, 4, 4)
    assert {level: tuple(image.shape) for level, image in batch["hr"].items()} == {2: (3, 1, 8, 8), 4: (3, 1, 16, 16)}
    assert batch["lr"].dtype == torch.float32
    assert 16 / 255 - 0.1 < batch["lr"].mean() < 235 / 255


def test_augmentation_turns_hr_before_the_pyramid(make):
    plain, turned = make(val_sets=[], augment=False, batch_size=64), make(val_sets=[], batch_size=64)
    patches, codes, key = first_batch(plain)
    straight = plain.on_after_batch_transfer((patches, codes, key), 0)
    augmented = turned.on_after_batch_transfer((patches, codes, key), 0)
    for number, code in enumerate(codes.tolist()):
        for image, expected in ((augmented["lr"], straight["lr"]), (augmented["hr"][4], straight["hr"][4])):
            want = expected[number]
            want = want.flip(-1) if code & 1 else want
            want = want.flip(-2) if code & 2 else want
            want = want.transpose(-1, -2) if code & 4 else want
            torch.testing.assert_close(image[number], want, atol=1e-5, rtol=0)
    assert len(set(codes.tolist())) == 8


def test_patches_also_come_from_shrunk_copies(make):
    data = make((64, 64), val_sets=[], shrink=[0.5, 0.3])
    first_batch(data)
    assert [(image.height, image.width) for image in data._images] == [(64, 64), (32, 32), (19, 19)]


@pytest.mark.parametrize("shrink", [[1.0], [0.0], ["half"], [2], 1, [True], [0.5, 0.5]])
def test_factors_of_copies_that_do_not_shrink_are_refused(make, shrink):
    with pytest.raises(ConfigError, match="`shrink` must be different factors between 0 and 1, got"):
        make(shrink=shrink)


def test_the_crop_can_be_given_in_lr_pixels(make):
    data = make(val_sets=[], crop=None, lr_crop=3)
    assert data.on_after_batch_transfer(first_batch(data), 0)["lr"].shape == (3, 1, 3, 3)


@pytest.mark.parametrize("redraw", [True, False])
def test_patches_are_drawn_anew_in_each_epoch_or_not(make, redraw):
    data = make(val_sets=[], redraw=redraw, patches_per_epoch=6)
    data.prepare_data()
    data.setup("fit")
    epochs = []
    for _ in range(2):
        epochs.append([batch[0] for batch in data.train_dataloader()])
        data.load_state_dict({"epoch": 1, "batch": 0})
    assert torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1])) is not redraw
    assert not torch.equal(*epochs[0]), "two batches of an epoch differ"


def batch_of(data, key):
    data.prepare_data()
    data.setup("fit")
    return data.on_after_batch_transfer(data.train_dataloader().dataset[key], 0)


def test_a_batch_of_one_level_is_the_same_patches_with_a_larger_lr(make):
    """Of HR patches the 2x downscale is the ground truth of the first level at 4x, and the LR of a batch at 2x."""
    key = BatchKey(1, 5, 5)
    both = batch_of(make(val_sets=[], batch_size=30), key)
    at_2x = batch_of(make(val_sets=[], batch_size=30, level_shares={2: 1}), key)
    at_4x = batch_of(make(val_sets=[], batch_size=30, level_shares={4: 0.5}), key)
    assert (list(at_2x["hr"]), list(at_4x["hr"])) == ([2], [4])
    torch.testing.assert_close(at_2x["lr"], both["hr"][2])
    torch.testing.assert_close(at_2x["hr"][2], both["hr"][4])
    torch.testing.assert_close(at_4x["lr"], both["lr"])
    torch.testing.assert_close(at_4x["hr"][4], both["hr"][4])


class Far(Degradation):
    """LR depends on more pixels at 2x than at 4x, which the usual one does not."""

    def __call__(self, hr, scale, *, draw):
        return bicubic_downscale(hr, scale)

    def margin(self, scale):
        return {2: 14, 4: 8}[scale]


def test_patches_carry_the_margin_of_the_level_that_needs_most(make):
    key = BatchKey(0, 3, 3)
    settings = {"val_sets": [], "level_shares": {2: 1}, "batch_size": 30}
    usual, far = batch_of(make(**settings), key), batch_of(make(degradation=Far(), **settings), key)
    torch.testing.assert_close(far, usual, atol=1e-6, rtol=0)


def test_levels_on_the_way_can_be_supervised_too(make):
    settings = {"val_sets": [], "levels": [2, 4, 8], "supervise": "all"}
    batch = batch_of(make(level_shares={4: 1.0}, **settings), BatchKey(0, 0))
    assert {level: image.shape[-1] for level, image in {1: batch["lr"], **batch["hr"]}.items()} == {1: 4, 2: 8, 4: 16}
    found = {max(make(level_shares="equal", **settings)._levels_of(BatchKey(0, n, n))) for n in range(20)}
    assert found == {2, 4, 8}


def test_batches_are_dealt_to_the_levels_by_their_shares(make):
    data = make(val_sets=[], level_shares={2: 7, 4: 3})
    keys = [BatchKey(epoch, step, step) for epoch in range(10) for step in range(100)]
    levels = [data._levels_of(key)[0] for key in keys]
    assert 0.65 < levels.count(2) / 1000 < 0.75
    assert levels[:100] != levels[100:200], "each epoch anew"
    again, other_seed = (make(val_sets=[], level_shares={2: 7, 4: 3}, seed=seed) for seed in (0, 1))
    assert [again._levels_of(key)[0] for key in keys] == levels
    assert [other_seed._levels_of(key)[0] for key in keys] != levels
    assert [data._levels_of(key._replace(number=2 * key.number + 1))[0] for key in keys] == levels, "on all devices"


def test_an_epoch_has_the_patches_asked_for(make):
    data = make(val_sets=[], patches_per_epoch=10, batch_size=3)
    first_batch(data)
    assert len(data.train_dataloader()) == 3


def test_validation_images_are_exact_luminance(make):
    data = make(val_sets=["photographs"])
    items = list(data.val_dataloader())
    assert [(item["set"], item["image"], item["counts"]) for item in items] == [
        ("photographs", "00", True),
        ("photographs", "01", True),
    ]
    rgb = torch.from_numpy(read_rgb(data.training_photographs()[1]).copy()).permute(2, 0, 1).double() / 255
    torch.testing.assert_close(items[1]["hr"][0].double(), rgb_to_luminance(rgb), atol=1e-7, rtol=0)


def test_val_limit_takes_the_first_of_each_set(make, photographs):
    photographs((20, 20), (20, 20), folder="others")
    data = make(val_sets=["photographs", "others"], val_limit=1)
    assert [(item["set"], item["image"]) for item in data.val_dataloader()] == [("photographs", "00"), ("others", "00")]


def test_without_kodak_every_20th_photograph_is_held_out(make):
    data = make(*[(32, 32)] * 41)
    (held_out,) = data.validation_sets()
    training = data.training_photographs()
    assert held_out.name == "held_out"
    assert [path.stem for path in held_out.images] == ["00", "20", "40"]
    assert len(training) == 38
    assert not set(training) & set(held_out.images)


def test_kodak_is_the_validation_set_where_it_is_found(make, photographs):
    photographs(*[(32, 32)] * 24, folder="Kodak24")
    data = make()
    assert [(one.name, len(one.images)) for one in data.validation_sets()] == [("Kodak24", 24)]
    assert len(data.training_photographs()) == 2


def test_a_missing_validation_set_is_known_before_any_training(make):
    with pytest.raises(DataError, match="Set5"):
        make(val_sets=["Set5"]).prepare_data()


def test_bad_validation_images_are_all_named_before_training(make, photographs):
    folder = photographs((32, 32), (3, 3), folder="mine")[0].parent
    (folder / "text.png").write_text("not a picture")
    with pytest.raises(DataError, match="2 of 3 validation images cannot be used") as caught:
        make(val_sets=["mine"], on_bad_image="skip").prepare_data()
    assert "text.png" in str(caught.value)
    assert "01.png must be at least 8x8" in str(caught.value)


def test_bad_photographs_that_are_held_out_are_skipped_where_that_is_asked_for(make, caplog):
    data = make(*[(32, 32)] * 41, on_bad_image="skip")
    bad = data.training_photographs()[0].with_name("20.png")
    bad.write_text("not a picture")
    data.prepare_data()
    assert [path.stem for path in data.validation_sets()[0].images] == ["00", "40"]
    assert [item["image"] for item in data.val_dataloader()] == ["00", "40"]
    assert len(data.training_photographs()) == 38
    assert caplog.text.count("Left out 1 validation images that cannot be used") == 1
    assert "20.png" in caplog.text

    stopping = make(*[(32, 32)] * 41)
    bad.write_text("not a picture")
    with pytest.raises(DataError, match=r"1 of 3 validation images cannot be used.*set data\.on_bad_image=skip"):
        stopping.prepare_data()


def test_of_the_photographs_held_out_one_must_be_usable(make):
    data = make((32, 32), (32, 32), on_bad_image="skip")
    (data.training_photographs()[0].with_name("00.png")).write_text("not a picture")
    with pytest.raises(DataError, match="Of the 1 photographs held out for validation one must be usable"):
        data.prepare_data()


@pytest.mark.parametrize("on_bad_image", ["stop", "skip"])
def test_thousands_of_bad_images_are_counted_not_listed(make, photographs, caplog, on_bad_image):
    folder = photographs((32, 32), (32, 32), (32, 32), folder="mine")[0].parent
    for number in range(1000):
        (folder / f"bad{number:04}.png").touch()
    data = make(train_dir=folder, val_sets=[], on_bad_image=on_bad_image)
    if on_bad_image == "stop":
        with pytest.raises(DataError) as caught:
            data.prepare_data()
        text = str(caught.value)
        assert text.startswith("1000 of 1003 training images cannot be used")
    else:
        data.prepare_data()
        text = caplog.text
        assert "Left out 1000 training images" in text
    assert text.rstrip().endswith("and 990 more")
    assert "bad0009.png" in text
    assert "bad0010.png" not in text

    with pytest.raises(DataError, match="1000 of 1003 validation images") as caught:
        make(val_sets=["mine"]).prepare_data()
    assert str(caught.value).endswith("and 990 more")


def test_a_single_value_needs_no_list(make, photographs):
    """A word is one pattern, not its letters."""
    photographs((64, 64))
    photographs((64, 64), (64, 64), folder="photographs/gb82")
    chosen = make((64, 64), (64, 64), include="gb82", val_sets=[]).training_photographs()
    assert [path.relative_to(path.parents[1]).as_posix() for path in chosen] == ["gb82/00.png", "gb82/01.png"]
    rest = make((64, 64), (64, 64), exclude="gb82", val_sets=[]).training_photographs()
    assert [path.parent.name for path in rest] == ["photographs"] * 2
    assert make(shrink=0.5).shrink == [0.5]


def test_several_training_folders(make, tmp_path, photographs):
    photographs((32, 32), folder="one")
    photographs((32, 32), (32, 32), folder="two")
    data = make(train_dir=[tmp_path / "two", str(tmp_path / "one")], val_sets=["one"])
    assert [path.relative_to(tmp_path).as_posix() for path in data.training_photographs()] == [
        "one/00.png",
        "two/00.png",
        "two/01.png",
    ]
    with pytest.raises(DataError, match=r"add data\.train_dir=DIR"):
        make(train_dir=[])


def test_a_single_validation_set_needs_no_list(make):
    assert [one.name for one in make(val_sets="photographs").validation_sets()] == ["photographs"]


def test_photographs_are_checked_once(make, monkeypatch):
    data = make(val_sets=[])
    calls = []
    load = data._load_images
    monkeypatch.setattr(data, "_load_images", lambda: (calls.append(1), load())[1])
    data.prepare_data()
    data.prepare_data()
    data.setup("fit")
    assert len(calls) == 1


@pytest.mark.parametrize(("length", "world_size"), [(5, 2), (4, 2), (1, 3), (7, 4)])
def test_devices_count_every_image_once(length, world_size):
    shards = [list(ShardSampler(length=length, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(shard) for shard in shards}) == 1
    counted = [index for shard in shards for index, counts in shard if counts]
    assert sorted(counted) == list(range(length))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": []}, "`levels` must name at least one level"),
        ({"levels": [3]}, "must be a power of two >= 2, got 3"),
        ({"crop": 18}, "`crop` must be a multiple of the largest level, 4, got 18; choose 16"),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1, got 0"),
        ({"batch_size": 2.5}, r"`batch_size` must be a whole number >= 1, got 2\.5"),
        ({"crop": True}, "`crop` must be a whole number >= 1, got True"),
        ({"patches_per_epoch": 0}, "`patches_per_epoch` must be a whole number >= 1"),
        ({"num_workers": -1}, "`num_workers` must be a whole number >= 0, got -1"),
        ({"lr_crop": 4}, "One of `crop` and `lr_crop` must be given, got 16 and 4; set the other to null"),
        ({"crop": None}, "One of `crop` and `lr_crop` must be given, got None and None"),
        ({"lr_crop": 0}, "`lr_crop` must be a whole number >= 1, got 0"),
        ({"level_shares": {2: 0.5, 8: 0.5}}, r"`level_shares` must be equal, or have positive shares of .* \[2, 4\]"),
        ({"level_shares": {2: 0}}, "`level_shares` must be equal"),
        ({"level_shares": "2"}, "`level_shares` must be equal, .* got '2'"),
        ({"supervise": "both"}, "`supervise` must be one of top, all, got 'both'"),
        ({"val_limit": 0}, "`val_limit` must be a whole number >= 1, got 0"),
        ({"on_bad_image": "ignore"}, "`on_bad_image` must be one of stop, skip, got 'ignore'"),
    ],
)
def test_refuses_settings_outside_their_range(make, changes, message):
    with pytest.raises(ConfigError, match=message):
        make(**changes)


def test_a_training_folder_must_be_named(make):
    with pytest.raises(DataError, match=r"add data\.train_dir=DIR"):
        make(train_dir=None)


def test_photographs_of_ones_own_may_be_texts_one_after_the_other(make, monkeypatch):
    data, usual = make(val_sets=[]), make(val_sets=[])
    monkeypatch.setattr(data, "training_photographs", lambda: map(str, usual.training_photographs()))
    for patches, expected in zip(first_batch(data), first_batch(usual), strict=True):
        assert torch.equal(torch.as_tensor(patches), torch.as_tensor(expected))
