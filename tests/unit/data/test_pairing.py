from __future__ import annotations

from pathlib import Path

import pytest

from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.pairing import match_images
from prosr_lightning.errors import DataError

BENCHMARK = Benchmark(name="BSDS100", images=(Path("HR/baby.png"), Path("HR/bird.png")))


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def match(folder, scale=4, *, several=False, what="result"):
    found = match_images(BENCHMARK, folder, scale, several=several, what=what)
    return [path.relative_to(folder).as_posix() for path in found]


@pytest.mark.parametrize(
    "place", ["", "x4/", "X4/", "4/", "BSDS100/", "B100/x4/", "bsd100/LR_bicubic/X4/", "image_SRF_4/"]
)
@pytest.mark.parametrize(
    "name", ["{}.png", "{}x4.png", "{}_x4.bmp", "{}_LapSRN.png", "{}_SRF_4_A+.png", "{}x4_mine.jpg"]
)
def test_layouts_and_names(tmp_path, place, name):
    names = [place + name.format(one) for one in ("baby", "bird")]
    assert match(touch(tmp_path, *names, place + "birdie.png")) == names


def test_the_file_of_the_wanted_scale_is_taken(tmp_path):
    touch(tmp_path, *(f"{one}_x{scale}.png" for one in ("baby", "bird") for scale in (2, 4, 16)))
    assert match(tmp_path, 2, several=True) == ["baby_x2.png", "bird_x2.png"]
    assert match(tmp_path, 16, several=True) == ["baby_x16.png", "bird_x16.png"]


def test_given_lr_images_among_others(tmp_path):
    touch(
        tmp_path / "image_SRF_4",
        *(f"{one}_SRF_4_{role}.png" for one in ("baby", "bird") for role in ("HR", "LR", "A+")),
    )
    assert match(tmp_path, what="LR image") == ["image_SRF_4/baby_SRF_4_LR.png", "image_SRF_4/bird_SRF_4_LR.png"]
    assert match(tmp_path) == ["image_SRF_4/baby_SRF_4_A+.png", "image_SRF_4/bird_SRF_4_A+.png"]


def test_missing_files_are_named(tmp_path):
    touch(tmp_path, "baby.png", "birdie.png")
    with pytest.raises(DataError, match=r"must have a result at 4x .* found none for bird\.png; add"):
        match(tmp_path)
    with pytest.raises(DataError, match="nowhere must be a folder"):
        match_images(BENCHMARK, tmp_path / "nowhere", 4, several=False, what="result")


def test_ambiguous_files_are_named(tmp_path):
    touch(tmp_path, "baby.png", "bird_a.png", "bird_b.png")
    with pytest.raises(DataError, match=r"one result for bird\.png, found bird_a\.png, bird_b\.png"):
        match(tmp_path)


def test_a_folder_that_does_not_say_its_scale_serves_one_scale_only(tmp_path):
    touch(tmp_path, "baby.png", "bird.png")
    assert match(tmp_path) == ["baby.png", "bird.png"]
    with pytest.raises(DataError, match=r"folder for each scale \(such as BSDS100/x4\)"):
        match(tmp_path, several=True)
