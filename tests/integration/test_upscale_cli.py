"""`prosr-upscale` as people use it: batches, trees, names, options, a full disk."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from awkward_pictures import SIZE, Run, content, cut_short, picture, saved, size_of
from PIL import Image

from processes import started
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.writing import write_picture
from prosr_lightning.upscale import main
from prosr_lightning.upscale.engines import TorchEngine
from prosr_lightning.upscale.upscaler import Upscaler


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("extension", "channels"), [("png", 3), ("jpg", 3), ("tif", 3), ("webp", 3), ("bmp", 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_full_disk_leaves_nothing_half_written(run: Run, extension: str, channels: int, dtype: type) -> None:
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (60, 60, channels), dtype=dtype)
    write_picture("a.png", Picture(noise))
    with full_disk(1000):
        code, _, errors = run("-i", "a.png", "-s", "2", "--ext", extension)
    assert code == 1
    assert "a_x2" in errors
    assert [path.name for path in Path().iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("words", "size", "suffix"),
    [
        (["-s", "3"], (36, 30), "_x3"),
        (["-s", "1.5"], (18, 15), "_x1.5"),
        (["--width", "50"], (50, 42), "_w50"),
        (["--height", "11"], (13, 11), "_h11"),
        (["--fit", "100x20"], (24, 20), "_100x20"),
        (["--megapixels", "0.00048"], (24, 20), "_0.00048mp"),
    ],
)
def test_any_size(run: Run, words: list[str], size: tuple[int, int], suffix: str) -> None:
    saved("a.png", size=(12, 10))()
    code, out, _ = run("-i", "a.png", *words)
    assert code == 0
    assert f"12x10 -> {size[0]}x{size[1]}, a{suffix}.png" in out
    assert size_of(f"a{suffix}.png") == size


def test_what_would_shrink_is_refused_by_name_and_the_rest_goes_on(run: Run) -> None:
    saved("large.png", size=(60, 40))()
    saved("small.png", size=(12, 10))()
    code, _, errors = run("-i", "large.png", "small.png", "--width", "30")
    assert code == 1
    assert "large.png: The result must be larger than the picture, got 60x40 to 30x20; a network does not" in errors
    assert size_of("small_w30.png") == (30, 25)
    with pytest.raises(SystemExit):
        run("-i", "small.png", "--fit", "30")
    code, _, errors = run("-i", "small.png", "-s", "0.5")
    assert code == 1
    assert "`scale` must be a number above 1 and at most 16, got 0.5" in errors


def test_shards_share_the_pictures_out(run: Run) -> None:
    Path("in").mkdir()
    for number in range(7):
        saved(f"in/{number}.png")()
    made = []
    for shard in ("1/3", "2/3", "3/3"):
        code, out, _ = run("-i", "in", "-o", f"out{shard[0]}", "-s", "2", "--shard", shard)
        assert code == 0
        made.append(sorted(path.name for path in Path(f"out{shard[0]}").iterdir()))
        assert f"{len(made[-1])} enlarged" in out
    assert made == [["0_x2.png", "3_x2.png", "6_x2.png"], ["1_x2.png", "4_x2.png"], ["2_x2.png", "5_x2.png"]]
    assert run("-i", "in", "-o", "none", "-s", "2", "--shard", "9/9")[:2] == (0, "0 enlarged\n")
    for wrong in ("0/3", "4/3", "3", "a/b"):
        with pytest.raises(SystemExit):
            run("-i", "in", "--shard", wrong)


def test_devices_share_the_pictures_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in").mkdir()
    for number in range(6):
        saved(f"in/{number}.png", size=(12 + number, 10))()
    content("in/bad.png", b"nonsense")()
    threads = set[str]()
    enlarge = Upscaler.rows

    def noted(self: Upscaler, *arguments: object, **options: object) -> object:
        threads.add(threading.current_thread().name)
        time.sleep(0.05)
        return enlarge(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Upscaler, "rows", noted)
    code, out, errors = run("-i", "in", "-o", "two", "-s", "2", "--device", "cpu,cpu")
    assert code == 1
    assert "bad.png must be an image" in errors
    assert "6 enlarged, 1 failed" in out
    assert len(threads) == 2
    assert run("-i", "in", "-o", "one", "-s", "2", "--device", "cpu")[0] == 1
    for path in Path("one").iterdir():
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(Path("two") / path.name)))


def test_a_stop_ends_all_devices(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in").mkdir()
    for number in range(30):
        saved(f"in/{number}.png")()
    calls, enlarge = itertools.count(), Upscaler.rows

    @contextmanager
    def interrupted(self: object, source: Path) -> Iterator[None]:
        if next(calls) == 32:  # when the second picture is finished; each has been looked at before
            raise KeyboardInterrupt
        yield

    def slow(self: Upscaler, *arguments: object, **options: object) -> object:
        time.sleep(0.1)
        return enlarge(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("prosr_lightning.upscale._Batch.guarded", interrupted)
    monkeypatch.setattr(Upscaler, "rows", slow)
    code, _, errors = run("-i", "in", "-o", "out", "-s", "2", "--device", "cpu,cpu")
    assert code == 130
    assert "finished pictures are kept" in errors
    results = list(Path("out").iterdir())
    assert 2 <= len(results) < 10
    assert {path.suffix for path in results} == {".png"}
    assert {size_of(path) for path in results} == {(2 * SIZE[0], 2 * SIZE[1])}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_is_finished_and_nothing_half_written(
    weights: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    saved(str(tmp_path / "a.png"), size=(20, 20))()
    saved(str(tmp_path / "b.png"), size=(1000, 3000))()
    words = ["-i", "a.png", "b.png", "-s", "16", "-n", str(weights), "--device", "cpu"]
    with started("upscale", *words, folder=tmp_path) as running:
        deadline = time.monotonic() + 100
        while not (any(path.stat().st_size for path in tmp_path.glob(".b*")) and (tmp_path / "a_x16.png").exists()):
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(number)
        done = running.wait(timeout=100)
    assert done.returncode == code
    errors = done.stderr
    assert "finished pictures are kept, nothing is half-written" in errors
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".png") == ["a.png", "a_x16.png", "b.png"]
    assert size_of(str(tmp_path / "a_x16.png")) == (320, 320)


def test_a_bad_picture_does_not_stop_the_batch(run: Run) -> None:
    for name in ("a.png", "c.png", "e.png"):
        saved(name)()
    content("b.png", b"nonsense")()
    cut_short("d.png")()
    code, out, errors = run("-i", ".", "-o", "out", "-s", "2")
    assert code == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["a_x2.png", "c_x2.png", "e_x2.png"]
    assert "b.png must be an image" in errors
    assert "d.png cannot be read" in errors
    assert out.endswith("3 enlarged, 2 failed\n")


def test_defects_are_named_and_the_batch_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    saved("a.png")()
    saved("b.png")()
    calls = iter([ValueError("a defect"), MemoryError()])

    def fails(*_: object, **__: object) -> None:
        raise next(calls)

    monkeypatch.setattr("prosr_lightning.upscale.read_rows", fails)
    code, _, errors = run("-i", "a.png", "b.png")
    assert code == 1
    assert "a.png: unexpected ValueError: a defect" in errors
    assert "b.png does not fit into memory" in errors


def test_a_tree_is_mirrored_and_links_are_followed_once(run: Run) -> None:
    for name in ("in", "in/deep/deeper", "elsewhere"):
        Path(name).mkdir(parents=True)
    for name in ("in/a.png", "in/deep/a.png", "in/deep/deeper/b.jpg", "elsewhere/c.png"):
        saved(name)()
    Path("in/notes.txt").write_text("no picture")
    Path("in/Thumbs.db").write_bytes(b"no picture")
    Path("in/.hidden.png").write_bytes(b"no picture")
    Path("in/deep/loop").symlink_to("..", target_is_directory=True)
    Path("in/linked").symlink_to("../elsewhere", target_is_directory=True)
    Path("in/twice").symlink_to("../elsewhere", target_is_directory=True)
    code, out, _ = run("-i", "in", "-o", "out", "-r", "-s", "2")
    assert code == 0
    found = sorted(str(path) for path in Path("out").rglob("*") if path.is_file())
    assert found == ["out/a_x2.png", "out/deep/a_x2.png", "out/deep/deeper/b_x2.png", "out/linked/c_x2.png"]
    assert "4 enlarged" in out


def test_without_r_folders_below_are_left_alone(run: Run) -> None:
    Path("in/deep").mkdir(parents=True)
    saved("in/a.png")()
    saved("in/deep/b.png")()
    assert run("-i", "in", "-o", "out", "-s", "2")[0] == 0
    assert sorted(str(path) for path in Path("out").rglob("*")) == ["out/a_x2.png"]


def test_patterns_files_and_folders_go_together_without_repetition(run: Run) -> None:
    Path("in").mkdir()
    for name in ("a1.png", "a2.png", "in/b.png"):
        saved(name)()
    code, out, _ = run("-i", "a*.png", "a1.png", "in", "-s", "2")
    assert code == 0
    assert "3 enlarged" in out
    assert {path.name for path in Path().glob("*_x2.png")} == {"a1_x2.png", "a2_x2.png"}
    assert Path("in/b_x2.png").is_file()


def test_own_results_are_not_enlarged_again(run: Run) -> None:
    saved("a.jpg")()
    saved("scan_x2.jpg")()  # no result of ours: there is no "scan"
    assert run("-i", ".", "-s", "2")[0] == 0
    code, out, _ = run("-i", ".", "-s", "2", "--skip-existing")
    assert code == 0
    assert out == "0 enlarged, 2 skipped, their results exist, passed over: 2 results of an earlier run\n"
    assert sorted(path.name for path in Path().glob("*.png")) == ["a_x2.png", "scan_x2_x2.png"]


@pytest.mark.parametrize("names", [["p*.png"], ["."], ["p.png", "p_x2.png", "p_big.png", "p_x4.png"]])
def test_a_second_run_over_the_same_pattern_leaves_results_alone(run: Run, names: list[str]) -> None:
    saved("p.png")()
    for words in (["-s", "2"], ["-s", "2", "--suffix", "_big"], ["--width", "18"], ["-s", "4"]):
        assert run("-i", "p.png", *words)[0] == 0
    code, out, _ = run("-i", *names, "-s", "2", "--suffix", "_big", "--overwrite")
    assert code == 0
    count = 4 if len(names) == 1 else 3
    assert out.splitlines()[-1] == f"1 enlarged, passed over: {count} results of an earlier run"
    assert len(list(Path().glob("*.png"))) == 5


def test_a_picture_that_only_has_the_name_of_a_result_is_enlarged(run: Run) -> None:
    saved("p.png", size=(20, 10))()
    saved("p_x2.png", size=(20, 20))()  # of other proportions
    saved("p_x4.png", size=(10, 5))()  # smaller
    saved("q_x2.png")()  # of nothing that is there
    code, out, errors = run("-i", "*.png", "-s", "3")
    assert code == 0, errors
    assert out.splitlines()[-1] == "4 enlarged"
    assert run("-i", "p_x3.png", "-s", "2")[0] == 0  # a result that is named alone
    assert size_of("p_x3_x2.png") == (120, 60)


def test_results_in_a_folder_below_are_no_pictures_of_a_pattern(run: Run) -> None:
    Path("deep").mkdir()
    saved("a.png")()
    saved("deep/a.jpg")()
    for name in (".jpg", ".png"):
        saved(f"b{name}")()  # their results are b_jpg_x2.png and b_png_x2.png
    for _ in range(2):
        code, out, errors = run("-i", "**/*.png", "**/*.jpg", "-o", "out", "-s", "2", "--overwrite")
        assert code == 0, errors
    assert out.splitlines()[-1] == "4 enlarged, passed over: 4 results of an earlier run"
    found = sorted(str(path) for path in Path("out").rglob("*.*"))
    assert found == ["out/a_x2.png", "out/b_jpg_x2.png", "out/b_png_x2.png", "out/deep/a_x2.png"]


def test_an_empty_input_is_not_the_folder_we_are_in(run: Run) -> None:
    saved("a.png")()
    code, _, errors = run("-i", "", "-s", "2")
    assert code == 1
    assert "--input must name files, folders or patterns, got an empty text" in errors
    assert not Path("a_x2.png").exists()


def test_an_output_folder_inside_the_input_is_not_an_input(run: Run) -> None:
    saved("a.png")()
    for _ in range(2):
        assert run("-i", ".", "-r", "-o", "out", "-s", "2", "--suffix", "", "--overwrite")[0] == 0
    assert [str(path) for path in sorted(Path("out").rglob("*"))] == ["out/a.png"]


def test_existing_files_are_replaced_only_when_told_so(run: Run) -> None:
    saved("a.png")()
    Path("a_x2.png").write_bytes(b"old")
    assert run("-i", "a.png", "-s", "2", "--skip-existing")[1] == "0 enlarged, 1 skipped, their results exist\n"
    code, _, errors = run("-i", "a.png", "-s", "2")
    assert code == 1
    assert "a_x2.png must not be there yet; allow --overwrite" in errors
    assert Path("a_x2.png").read_bytes() == b"old"
    assert run("-i", "a.png", "-s", "2", "--overwrite")[0] == 0
    assert size_of("a_x2.png") == (18, 14)


def test_one_output_file_for_several_pictures_is_refused(run: Run) -> None:
    saved("a.png")()
    saved("b.png")()
    code, _, errors = run("-i", "a.png", "b.png", "-o", "out.png")
    assert code == 1
    assert "must be a folder for 2 pictures" in errors


def test_a_name_that_becomes_too_long_is_refused_and_the_rest_goes_on(run: Run) -> None:
    saved(f"{'a' * 250}.png")()
    saved("b.png")()
    code, out, errors = run("-i", ".", "-s", "2", "--skip-existing")
    assert code == 1
    assert "File name too long; choose another --output or a shorter --suffix." in errors
    assert out.splitlines()[-1] == "1 enlarged, 1 failed"


def test_a_result_that_is_a_folder_is_refused(run: Run) -> None:
    saved("a.png")()
    Path("a_x2.png").mkdir()
    code, _, errors = run("-i", "a.png", "-s", "2")
    assert code == 1
    assert "a_x2.png must be a file, got a folder" in errors


def test_options_reach_the_upscaler(run: Run) -> None:
    saved("a.png", size=(40, 40))()
    code, _, errors = run("-i", "a.png", "-o", "o.png", "-s", "4", "-t", "16", "--tta", "--fp32", "-v")
    assert code == 0, errors
    assert size_of("o.png") == (160, 160)
    code, _, errors = run("-i", "a.png", "-t", "3")
    assert code == 1
    assert "`tile` must be" in errors


@pytest.mark.parametrize(
    ("words", "precision"),
    [([], "auto"), (["--fp32"], "float32"), (["--bf16"], "bfloat16"), (["--bf16", "--fp32"], "")],
)
def test_the_precision_reaches_the_engine(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], precision: str
) -> None:
    saved("a.png")()
    seen: list[object] = []
    engine = TorchEngine.__init__
    monkeypatch.setattr(
        TorchEngine, "__init__", lambda self, *one, **more: seen.append(more["precision"]) or engine(self, *one, **more)
    )
    if not precision:
        with pytest.raises(SystemExit):  # argparse: not allowed together
            run("-i", "a.png", *words)
        return
    assert run("-i", "a.png", *words)[0] == 0
    assert seen == [precision]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "out.pgn"], "must be a folder or a file that ends in one of .png"),
        (["--suffix", "/../b"], "must be part of a file's name, got '/../b'; name folders by --output"),
        (["--threads", "100000"], "must be a whole number from 1 to 1024, got '100000'"),
        (["-t", "abc"], "must be auto, 0 or a number of pixels, got 'abc'"),
        (["--width", "9" * 400], "must be a whole number from 1 to 2147483647, got '9"),
        (["--height", "9" * 5000], "must be a whole number from 1 to 2147483647, got '9"),
        (["--threads", "9" * 5000], "must be a whole number from 1 to 1024, got '9"),
        (["--quality", "9" * 5000], "must be a whole number from 1 to 100, got '9"),
        (["--fit", "9" * 5000 + "x1"], "must be WIDTHxHEIGHT in pixels, such as 1920x1080, got '9"),
        (["--shard", "1/" + "9" * 5000], "must be NUMBER/COUNT from 1 up, such as 3/16, got '1/9"),
        (["--tile", "9" * 5000], "must be auto, 0 or a number of pixels, got '9"),
    ],
)
def test_mistyped_values_are_explained(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    saved("a.png")()
    with pytest.raises(SystemExit):
        run("-i", "a.png", *words)
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()[-1]) < 250
    assert not Path("out.pgn").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fit", f"{'9' * 18}x5"], "`fit` must be above 0 and at most 2147483647, got (9999"),
        (["--megapixels", "1e300"], "`megapixels` must be above 0 and at most 4.611686014e+12, got 1e+300"),
        (["--megapixels", "nan"], "`megapixels` must be above 0 and at most"),
        (["-s", "1e400"], "`scale` must be a number above 1 and at most 16, got inf"),
        (["--width", "2147483647"], "must be at most 16 times the picture, got 9x7 to 2147483647x"),
        (["--device", "meta"], "`device` must be one that this machine has, got 'meta'"),
        (["--device", "hpu"], "`device` must be one that this machine has, got 'hpu'"),
        (["--device", "mkldnn"], "`device` must be one that this machine has, got 'mkldnn'"),
        (["--device", ""], "`device` must be one that this machine has, got ''"),
        (["--device", "x" * 5000], "`device` must be one that this machine has, got 'xxx"),
        (["-n", "x" * 5000], "must be released weights or a file"),
        (["-i", "x" * 5000], "must be an image file or a folder, found nothing there"),
    ],
)
def test_absurd_values_are_explained(run: Run, words: list[str], message: str) -> None:
    saved("a.png")()
    code, _, errors = run("-i", "a.png", *words)
    assert code == 1
    assert message in errors
    assert "unexpected" not in errors
    assert "Warning" not in errors


def test_a_folder_may_have_a_dot_in_its_name(run: Run) -> None:
    saved("a.png")()
    assert run("-i", "a.png", "-o", "new.old/", "-s", "2")[0] == 0
    assert run("-i", "a.png", "-o", "new.old", "-s", "4")[0] == 0  # it is there now
    assert run("-i", "a.png", "-o", "results.v2", "-s", "2")[0] == 0
    assert Path("new.old/a_x2.png").is_file()
    assert Path("new.old/a_x4.png").is_file()
    assert Path("results.v2/a_x2.png").is_file()


def test_exif_and_profile_travel_and_orientation_is_reset(run: Run) -> None:
    exif = Image.Exif()
    exif[274], exif[271] = 6, "A maker"
    saved("a.jpg", exif=exif.tobytes(), icc_profile=b"a profile")()
    for extension in ("png", "jpg", "webp", "tif"):
        assert run("-i", "a.jpg", "-s", "2", "--ext", extension)[0] == 0
        with Image.open(f"a_x2.{extension}") as result:
            assert result.size == (14, 18)
            assert dict(result.getexif()).get(271) == "A maker"
            assert 274 not in result.getexif()
            assert result.info["icc_profile"] == b"a profile"


def test_a_missing_model_is_one_line(run: Run, weights: Path) -> None:
    saved("a.png")()
    code = main(["-i", "a.png", "-n", "no_such_model"])
    errors = run.capsys.readouterr().err
    assert code == 1
    assert errors.startswith("error: 'no_such_model' must be released weights or a file; released: ")
    assert errors.count("\n") == 1


def test_the_module_runs_as_a_command(weights: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    command = [sys.executable, "-m", "prosr_lightning.upscale", "-i", "a.png", "missing.png", "-s", "2"]
    arguments = {
        "cwd": tmp_path,
        "capture_output": True,
        "text": True,
        "env": {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    }
    done = subprocess.run([*command, "--model", str(weights), "--device", "cpu"], check=False, **arguments)
    assert done.returncode == 1
    assert (tmp_path / "a_x2.png").is_file()
    assert "missing.png must be an image file or a folder" in done.stderr
    assert "Traceback" not in done.stderr
