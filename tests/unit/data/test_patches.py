from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from soft import Soft

from prosr_lightning.data.cache import load_photographs
from prosr_lightning.data.patches import BatchKey, EpochSampler, PatchBatches, PatchLoader, Position, fit_position
from prosr_lightning.imaging.degradation import Bicubic, patch_margin
from prosr_lightning.imaging.pyramid import level_pyramid
from prosr_lightning.imaging.resize import bicubic_downscale

START: Position = {"epoch": 0, "batch": 0}


@pytest.fixture
def make_batches(tmp_path, photographs):
    def make(*sizes, crop=16, scale=4, batch_size=6, seed=1, margin=None):
        images = load_photographs(tmp_path / "cache", photographs(*sizes))
        margin = margin or patch_margin(scale)
        return PatchBatches(images=images, crop=crop, scale=scale, margin=margin, batch_size=batch_size, seed=seed)

    return make


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("degradation", [Bicubic(), Soft()], ids=lambda one: one.name)
def test_lr_of_a_patch_is_the_patch_of_the_whole_images_lr(make_batches, scale, degradation):
    margin = degradation.margin(scale)
    batches = make_batches((53, 47), crop=16, scale=scale, batch_size=40, margin=margin)
    whole = torch.from_numpy(batches.images[0].open().copy())[None].double() / 255
    height, width = (side // scale * scale for side in whole.shape[-2:])
    whole = whole[..., :height, :width]
    levels = [2**level for level in range(1, scale.bit_length())]
    whole_levels = {level: bicubic_downscale(whole, scale // level) for level in levels}
    whole_levels[1] = degradation(whole, scale, draw=(7,))

    patches, *_ = batches[BatchKey(0, 0)]
    patches_lr = {"degradation": degradation, "draw": (7,)}
    lr, targets = level_pyramid(patches.double() / 255, scale=scale, levels=levels, **patches_lr)

    positions = set()
    for number, patch in enumerate(patches[:, 0, margin:-margin, margin:-margin].numpy()):
        found = _positions(batches.images[0].open()[0, :height, :width], patch, scale)
        assert found, "the patch lies on the grid of the whole image"
        top, left = found[0]
        positions.add((top, left))
        for level, image in {1: lr, **targets}.items():
            share = scale // level
            rows = slice(top // share, (top + 16) // share)
            columns = slice(left // share, (left + 16) // share)
            expected = whole_levels[level][0, 0, rows, columns]
            torch.testing.assert_close(image[number, 0], expected, atol=1e-12, rtol=0)
    assert any(0 in place for place in positions), "patches at the image border were among them"


def _positions(image, patch, scale):
    side = patch.shape[0]
    return [
        (top, left)
        for top in range(0, image.shape[0] - side + 1, scale)
        for left in range(0, image.shape[1] - side + 1, scale)
        if np.array_equal(image[top : top + side, left : left + side], patch)
    ]


def test_every_aligned_position_is_reached_and_no_other(make_batches):
    batches = make_batches((24, 20), (16, 16), crop=16, scale=4, batch_size=200)
    # 3 x 2 positions in the first image, 1 in the second: a seventh each
    counts = np.zeros(7, dtype=int)
    margin = patch_margin(4)
    images = [image.open()[0] for image in batches.images]
    for number in range(5):
        for patch in batches[BatchKey(0, number)][0][:, 0, margin:-margin, margin:-margin].numpy():
            places = [(0, *place) for place in _positions(images[0], patch, 4)]
            places += [(1, *place) for place in _positions(images[1], patch, 4)]
            assert len(places) == 1
            which, top, left = places[0]
            counts[6 if which else top // 4 * 2 + left // 4] += 1
    assert counts.sum() == 1000
    assert (counts > 1000 / 7 * 0.6).all()


def test_a_batch_depends_on_seed_epoch_and_number_alone(make_batches):
    one, same, other_seed = make_batches((40, 40)), make_batches((40, 40)), make_batches((40, 40), seed=2)

    first, codes, key = one[BatchKey(3, 5, 2)]
    assert key == (3, 5, 2)
    one[BatchKey(0, 0)]
    torch.testing.assert_close(first, same[BatchKey(3, 5)][0])
    torch.testing.assert_close(codes, same[BatchKey(3, 5)][1])

    for different in (one[BatchKey(3, 6)], one[BatchKey(4, 5)], other_seed[BatchKey(3, 5)]):
        assert not torch.equal(first, different[0])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # what a single core may do
def test_workers_and_devices_share_no_batch(make_batches):
    batches = make_batches((64, 64), batch_size=2)

    def run(workers, rank, world_size):
        loader = PatchLoader(
            dataset=batches,
            sampler=EpochSampler(batches=4, begin=lambda: START, rank=rank, world_size=world_size),
            num_workers=workers,
            pin_memory=False,
            position=lambda: START,
            resume=print,
        )
        return [patches for patches, *_ in loader]

    alone = run(0, 0, 1)
    for ours, theirs in zip(alone, run(2, 0, 1), strict=True):
        assert torch.equal(ours, theirs)
    both = run(0, 0, 2) + run(0, 1, 2)
    assert len({patches.numpy().tobytes() for patches in both}) == 8


def test_devices_go_on_with_numbers_that_were_not_used():
    """Of 10 batches on two devices 3 each are done; then three devices share what is left."""
    position = fit_position({"epoch": 2, "batch": 3, "number": 6, "batches": 5}, batches=3)
    keys = [list(EpochSampler(batches=3, begin=lambda: position, rank=rank, world_size=3)) for rank in range(3)]
    assert keys == [[BatchKey(2, 6 + 3 * step + rank, 1 + step) for step in range(2)] for rank in range(3)]


def test_sampler_goes_on_from_a_checkpoint_of_an_earlier_version():
    sampler = EpochSampler(batches=5, begin=lambda: {"epoch": 2, "batch": 3}, rank=1, world_size=2)
    assert list(sampler) == [BatchKey(2, 7, 3), BatchKey(2, 9, 4)]


def test_pickles_without_its_memory_maps(make_batches):
    batches = make_batches((256, 256))
    expected = batches[BatchKey(0, 0)][0]
    stored = pickle.dumps(batches)
    assert len(stored) < 5000, "a worker maps the files itself"
    assert torch.equal(pickle.loads(stored)[BatchKey(0, 0)][0], expected)  # noqa: S301  # our own bytes
