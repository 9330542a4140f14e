from __future__ import annotations

from pathlib import Path

import pytest

from prosr_lightning.data.sources import div2k_images, folder_images, sample_photographs
from prosr_lightning.errors import DataError


def test_missing_div2k_names_the_command_that_downloads_it(tmp_path):
    with pytest.raises(DataError) as caught:
        div2k_images(tmp_path, "train")
    assert f"python -m prosr_lightning.download div2k --root {tmp_path}" in str(caught.value)
    assert str(tmp_path / "DIV2K" / "DIV2K_train_HR") in str(caught.value)


def test_incomplete_div2k_says_how_many_there_are(tmp_path, photographs):
    photographs((8, 8), (8, 8), folder="DIV2K")
    (tmp_path / "DIV2K").rename(tmp_path / "DIV2K_valid_HR")
    (tmp_path / "DIV2K").mkdir()
    (tmp_path / "DIV2K_valid_HR").rename(tmp_path / "DIV2K" / "DIV2K_valid_HR")
    with pytest.raises(DataError, match="must hold 100 images, got 2"):
        div2k_images(tmp_path, "valid")


def test_finds_photographs_below_a_folder_in_order(tmp_path, photographs):
    photographs((8, 8), (8, 8), folder="b")
    photographs((8, 8), folder="a")
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    found = [path.relative_to(tmp_path).as_posix() for path in folder_images([tmp_path])]
    assert found == ["a/00.png", "b/00.png", "b/01.png"]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), ("a",), ["b/00.png", "b/01.png"]),
        ((), ("?/00.png",), ["b/01.png"]),
        (("b",), (), ["b/00.png", "b/01.png"]),
        (("b",), ("*01*",), ["b/00.png"]),
    ],
)
def test_patterns_choose_files_and_folders(tmp_path, photographs, include, exclude, expected):
    photographs((8, 8), (8, 8), folder="b")
    photographs((8, 8), folder="a")
    found = folder_images([tmp_path], include=include, exclude=exclude)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == expected


def test_several_folders_are_one_set(tmp_path, photographs):
    photographs((8, 8), (8, 8), folder="b")
    photographs((8, 8), folder="a")
    photographs((8, 8), folder="a/inner")
    folders = [tmp_path / "b", tmp_path / "a", tmp_path / "a" / "inner"]
    found = [path.relative_to(tmp_path).as_posix() for path in folder_images(folders)]
    assert found == ["a/00.png", "a/inner/00.png", "b/00.png", "b/01.png"], "each once"
    chosen = folder_images(folders, include=["0?.png"], exclude=["inner", "*1*"])
    assert [path.relative_to(tmp_path).as_posix() for path in chosen] == ["a/00.png", "b/00.png"]


def test_an_empty_choice_is_an_error(tmp_path, photographs):
    photographs((8, 8), folder="a")
    with pytest.raises(DataError, match="found 1 in .* none that data.include and data.exclude leave"):
        folder_images([tmp_path], exclude=["a"])


def test_a_missing_folder_is_named():
    with pytest.raises(DataError, match="must be a folder of images, got nowhere"):
        folder_images([Path("nowhere")])


def test_the_sample_keeps_one_photograph_out():
    training, validation = sample_photographs("coffee")
    assert [path.stem for path in training] == ["astronaut", "chelsea", "rocket"]
    assert [path.stem for path in validation.images] == ["coffee"]
    assert validation.name == "sample"


def test_the_sample_refuses_an_unknown_photograph():
    with pytest.raises(DataError, match="`held_out` must be one of astronaut, chelsea, coffee, rocket, got 'cat'"):
        sample_photographs("cat")
