from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from prosr_lightning.data import cache as cache_module
from prosr_lightning.data.cache import load_photographs
from prosr_lightning.errors import DataError, StorageError
from prosr_lightning.imaging.color import rgb_to_luminance
from prosr_lightning.imaging.io import read_rgb


def test_stores_the_rounded_studio_luminance(tmp_path):
    path = tmp_path / "two.png"
    Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], dtype=np.uint8)).save(path)

    (entry,) = load_photographs(tmp_path / "cache", [path])

    assert (entry.height, entry.width) == (1, 3)
    assert entry.open().tolist() == [[[16, 235, 81]]]  # 16 + 65.481 = 81.5 - 0.019


def test_decodes_once_and_again_after_a_change(tmp_path, photographs, monkeypatch):
    paths = photographs((8, 12), (10, 6))
    decoded: list[Path] = []
    original = cache_module._decode
    monkeypatch.setattr(cache_module, "_decode", lambda path, color: (decoded.append(path), original(path, color))[1])
    store = partial(load_photographs, tmp_path / "cache", workers=1)

    first = store(paths)
    store(paths)
    assert decoded == paths
    os.utime(paths[0], ns=(1, 1))
    again = store(paths)

    assert decoded == [*paths, paths[0]]
    assert again[0].file != first[0].file
    assert [(one.height, one.width) for one in again] == [(8, 12), (10, 6)]


def test_color_is_kept_beside_luminance_where_it_is_asked_for(tmp_path, photographs):
    paths = photographs((20, 30))
    store = partial(load_photographs, tmp_path / "cache", paths, shrink=[0.5])
    luminance, rgb = store(), store(color=True)
    assert store() == luminance, "one does not stand in the other's way"
    assert [entry.open().shape for entry in luminance] == [(1, 20, 30), (1, 10, 15)]
    assert [entry.open().shape for entry in rgb] == [(3, 20, 30), (3, 10, 15)]
    assert np.array_equal(rgb[0].open().transpose(1, 2, 0), read_rgb(paths[0]))
    expected = rgb_to_luminance(torch.from_numpy(rgb[0].open().copy()).float() / 255).mul(255).round()
    assert np.array_equal(luminance[0].open(), expected.numpy())


def test_copies_are_the_antialiased_bicubic_of_the_photograph(tmp_path, photographs):
    paths = photographs((40, 60), (33, 21))
    large, narrow, half, small, quarter = load_photographs(tmp_path / "cache", paths, min_side=10, shrink=[0.5, 0.25])

    assert [(one.height, one.width) for one in (large, narrow, half)] == [(40, 60), (33, 21), (20, 30)]
    assert (small.source, small.height, small.width) == (paths[1], 16, 10)
    assert (quarter.source, quarter.height, quarter.width) == (paths[0], 10, 15)  # the other would be 8 by 5
    image = torch.from_numpy(large.open().copy())[None].double()
    expected = F.interpolate(image, scale_factor=0.5, mode="bicubic", antialias=True)[0, 0]
    assert np.abs(half.open() - expected.numpy()).max() < 0.51
    written = half.file.stat().st_mtime_ns
    assert load_photographs(tmp_path / "cache", paths, min_side=10, shrink=[0.5, 0.25])[2] == half
    assert half.file.stat().st_mtime_ns == written


def test_reports_every_bad_image_at_once(tmp_path, photographs):
    good, small = photographs((32, 32), (3, 3))
    text = tmp_path / "photographs" / "text.png"
    text.write_text("not a picture")
    truncated = tmp_path / "photographs" / "truncated.png"
    truncated.write_bytes(good.read_bytes()[:200])

    with pytest.raises(DataError) as caught:
        load_photographs(tmp_path / "cache", [good, small, text, truncated], min_side=16)

    message = str(caught.value)
    assert "3 of 4" in message
    assert "data.on_bad_image=skip" in message
    for path in (small, text, truncated):
        assert str(path) in message
    assert str(good) not in message


def test_skips_bad_images_when_told_to(tmp_path, photographs, caplog):
    good, small = photographs((32, 32), (3, 3))

    entries = load_photographs(tmp_path / "cache", [small, good], min_side=16, on_bad_image="skip")

    assert [entry.source for entry in entries] == [good]
    assert str(small) in caplog.text


def test_refuses_to_train_on_nothing(tmp_path, photographs):
    with pytest.raises(DataError, match="at least one usable image, got none"):
        load_photographs(tmp_path / "cache", photographs((3, 3)), min_side=16, on_bad_image="skip")


@pytest.mark.parametrize("damage", [b"\x93NUMPY", b"", b"text"])
def test_decodes_a_damaged_entry_again(tmp_path, photographs, damage):
    paths = photographs((8, 8))
    store = partial(load_photographs, tmp_path / "cache")
    (entry,) = store(paths)
    expected = entry.open().copy()
    entry.file.write_bytes(damage)

    (repaired,) = store(paths)

    assert np.array_equal(repaired.open(), expected)


def test_an_unwritable_cache_is_one_clear_error(tmp_path, photographs):
    (tmp_path / "occupied").write_text("a file where the cache should be")

    with pytest.raises(StorageError, match="cannot be written"):
        load_photographs(tmp_path / "occupied" / "cache", photographs((8, 8)))


def test_a_failed_write_leaves_nothing_behind(tmp_path, photographs, monkeypatch):
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.np, "save", full)

    with pytest.raises(StorageError, match="No space left"):
        load_photographs(tmp_path / "cache", photographs((8, 8)))
    assert list((tmp_path / "cache").iterdir()) == []


def test_progress_counts_every_photograph(tmp_path, photographs):
    seen: list[tuple[int, int]] = []
    load_photographs(
        tmp_path / "cache", photographs((8, 8), (8, 8)), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]


def test_no_two_threads_read_headers_at_once(tmp_path, photographs, monkeypatch):
    """Python 3.11 before 3.11.8 fails at times where two threads parse, as NumPy does a header (gh-106905)."""
    inside, most, load = [], [], np.load

    def slowly(*arguments, **settings):
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()
        return load(*arguments, **settings)

    monkeypatch.setattr(np, "load", slowly)
    paths = photographs(*[(8, 12)] * 8)
    entries = load_photographs(tmp_path / "cache", paths, shrink=[0.5], workers=4)
    assert len(entries) == 16
    assert max(most) == 1
