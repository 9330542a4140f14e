from __future__ import annotations

from pathlib import Path

import pytest

from prosr_lightning.data.benchmarks import (
    NUM_IMAGES,
    canonical_name,
    find_benchmarks,
    find_dataset,
    find_images,
    image_name,
    listed,
)
from prosr_lightning.errors import ConfigError, DataError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def pictures(count, pattern="img_{:03d}.png"):
    return [pattern.format(number) for number in range(1, count + 1)]


def test_find_images_is_sorted_and_knows_images(tmp_path):
    touch(tmp_path, "b.PNG", "a.jpg", "sub/c.bmp", "notes.txt", ".hidden.png", ".git/d.png", "__MACOSX/e.png", "f.webp")
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == [
        "a.jpg",
        "b.PNG",
        "f.webp",
        "sub/c.bmp",
    ]
    assert [path.name for path in find_images(str(tmp_path), recursive=False)] == ["a.jpg", "b.PNG", "f.webp"]


def test_find_images_below_a_hidden_parent(tmp_path):
    assert len(find_images(touch(tmp_path / ".cache" / "set", "a.png"))) == 1


def test_find_images_names_the_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere must be a folder of images"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"must hold images \(\.bmp, .*\), found none"):
        find_images(touch(tmp_path, "notes.txt"))


@pytest.mark.parametrize(
    "layout",
    [
        "{}",
        "HR/{}",
        "GTmod12/{}",
        "original/{}",
        "image_SRF_2/{}",
        "image_SRF_4/{}",
    ],
)
def test_layouts(tmp_path, layout):
    touch(tmp_path / "Set5", *(layout.format(name) for name in pictures(5)))
    found = find_dataset("Set5", tmp_path)
    assert found.name == "Set5"
    assert [path.name for path in found.images] == pictures(5)
    assert found.lr_dir is None


def test_selfexsr_layout_takes_the_truth_only(tmp_path):
    for scale in (2, 4):
        touch(tmp_path / "Set5" / f"image_SRF_{scale}", *pictures(5, f"img_{{:03d}}_SRF_{scale}_HR.png"))
        touch(tmp_path / "Set5" / f"image_SRF_{scale}", *pictures(5, f"img_{{:03d}}_SRF_{scale}_LR.png"))
    found = find_dataset("Set5", tmp_path)
    assert {path.parent.name for path in found.images} == {"image_SRF_2"}
    assert [image_name(path) for path in found.images] == [f"img_{number:03d}" for number in range(1, 6)]


def test_urban100_is_never_the_halved_one(tmp_path):
    folder = touch(tmp_path / "Urban100", *pictures(100, "image_SRF_2/img_{:03d}_SRF_2_HR.png"))
    with pytest.raises(DataError, match=r"image_SRF_4.*halved"):
        find_dataset("urban100", tmp_path)
    touch(folder, *pictures(100, "image_SRF_4/img_{:03d}_SRF_4_HR.png"))
    assert {path.parent.name for path in find_dataset("urban100", tmp_path).images} == {"image_SRF_4"}


@pytest.mark.parametrize("name", ["BSDS100", "B100", "b100", "BSD100", "bsds100"])
def test_aliases_work_both_ways(tmp_path, name):
    touch(tmp_path / "benchmark" / "B100" / "HR", *pictures(100))
    found = find_dataset(name, tmp_path)
    assert found.name == "BSDS100"
    assert canonical_name(name) == "BSDS100"


def test_a_known_set_must_be_complete(tmp_path):
    touch(tmp_path / "set14", *pictures(13))
    with pytest.raises(DataError, match=r"Set14 must have 14 images, found 13 in .*set14; .*download set14 --root"):
        find_dataset("Set14", tmp_path)
    touch(tmp_path / "set14", *pictures(15))
    with pytest.raises(DataError, match="found 15"):
        find_dataset("Set14", tmp_path)


def test_a_missing_set_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=rf"python -m prosr_lightning\.download set5 --root {tmp_path}`"):
        find_dataset("Set5", tmp_path)
    with pytest.raises(DataError, match=r"'holiday' must be a folder .*Set5, Set14.*path of a folder of images"):
        find_dataset("holiday", tmp_path)


def test_any_folder_is_a_benchmark(tmp_path):
    touch(tmp_path / "data" / "mine", "b.png", "sub/a.png")
    for name in ("mine", str(tmp_path / "data" / "mine")):
        found = find_dataset(name, tmp_path / "data")
        assert (found.name, len(found.images)) == ("mine", 2)
    touch(tmp_path / "data" / "mine", "sub/b.jpg")
    with pytest.raises(DataError, match="each image once, found b twice"):
        find_dataset("mine", tmp_path / "data")


def test_find_benchmarks(tmp_path):
    for name in ("Set5", "Set14", "BSDS100"):
        touch(tmp_path / name, *pictures(NUM_IMAGES[name]))
    assert [one.name for one in find_benchmarks("all", tmp_path)] == ["Set5", "Set14", "BSDS100"]
    assert [one.name for one in find_benchmarks(["b100", "Set5"], tmp_path)] == ["BSDS100", "Set5"]
    assert [one.name for one in find_benchmarks("Set14", tmp_path)] == ["Set14"]
    touch(tmp_path / "Manga109", *pictures(109))
    assert [one.name for one in find_benchmarks("all", tmp_path)][-1] == "Manga109"
    with pytest.raises(ConfigError, match="at least one"):
        find_benchmarks([], tmp_path)
    with pytest.raises(ConfigError, match="once, got Set5, set5"):
        find_benchmarks(["Set5", "set5"], tmp_path)
    (tmp_path / "Set5" / "img_001.png").unlink()
    with pytest.raises(DataError, match="Set5 must have 5"):
        find_benchmarks("all", tmp_path)


def test_listed_names_a_few():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
