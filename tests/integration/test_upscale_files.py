"""`prosr-upscale`: names that cannot clash, originals that stay, formats, animations, pages and pipes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import tifffile
from awkward_pictures import Run, content, picture, saved, size_of
from PIL import Image, JpegImagePlugin

from prosr_lightning import DEFAULT_MODEL, upscale
from prosr_lightning.pictures import reading
from prosr_lightning.upscale.upscaler import Upscaler


def files(folder: str = ".") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_a_place_spelt_in_two_ways_is_one(run: Run) -> None:
    saved("photo.jpg")()
    saved("photo.png")()
    os.symlink(".", "link")
    whole = os.path.abspath("photo.png")
    code, out, _ = run("-i", whole, "photo.jpg", "photo.png", "-s", "2")
    assert code == 0
    assert "2 enlarged" in out
    assert set(files()) == {"photo.jpg", "photo.png", "photo_jpg_x2.png", "photo_png_x2.png"}
    assert run("-i", "photo.jpg", "link/photo.png", "-s", "2", "--suffix", "_a")[0] == 0
    assert {"photo_jpg_a.png", "photo_png_a.png"} < set(files())


@pytest.mark.parametrize("output", [(), ("-o", ".")])
def test_two_pictures_of_one_stem_have_a_result_each_and_stay_as_they_are(run: Run, output: tuple[str, ...]) -> None:
    saved("photo.jpg")()
    saved("photo.png")()
    before = {name: Path(name).read_bytes() for name in files()}
    assert run("-i", ".", *output, "-s", "2")[0] == 0
    assert run("-i", "photo.jpg", "photo.png", *output, "-s", "2", "--suffix", "")[0] == 0
    assert {name: Path(name).read_bytes() for name in before} == before
    assert set(files()) - set(before) == {"photo_jpg.png", "photo_png.png", "photo_jpg_x2.png", "photo_png_x2.png"}


def test_a_result_never_replaces_a_picture_of_the_run_nor_a_file_that_is_there(run: Run) -> None:
    saved("photo.jpg")()
    saved("photo.png")()
    saved("photo_jpg.png")()
    os.link("photo.png", "linked.png")
    before = {name: Path(name).read_bytes() for name in files()}
    code, _, errors = run("-i", "photo.jpg", "--suffix", "")
    assert code == 1
    assert "photo.png must not be there yet" in errors
    code, _, errors = run("-i", ".", "-o", ".", "-s", "2", "--suffix", "", "--overwrite")
    assert code == 1
    assert "photo_jpg.png must not be photo_jpg.png, a picture of this run" in errors.replace("./", "")
    code, _, errors = run("-i", "photo.png", "-o", "linked.png", "-s", "2", "--overwrite")
    assert code == 1
    assert "linked.png must not be the picture itself" in errors
    assert {name: Path(name).read_bytes() for name in before} == before


def test_patterns_and_several_folders_keep_their_trees(run: Run) -> None:
    for name in ("in/a/x.jpg", "in/b/x.jpg", "in/b/c/x.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        saved(name)()
    assert run("-i", "in/**/*.jpg", "-o", "by_pattern", "-s", "2")[0] == 0
    assert files("by_pattern") == ["a/x_x2.png", "b/c/x_x2.png", "b/x_x2.png"]
    assert run("-i", "in/a", "in/b", "-o", "by_folders", "-s", "2")[0] == 0
    assert files("by_folders") == ["a/x_x2.png", "b/x_x2.png"]
    assert run("-i", "in/a/x.jpg", "in/b/c", "-o", "mixed", "-s", "2")[0] == 0
    assert files("mixed") == ["a/x_x2.png", "b/c/x_x2.png"]


@pytest.mark.parametrize(("network", "name"), [(DEFAULT_MODEL, "photo_x2.png"), ("prosrgan", "photo_x2_prosrgan.png")])
def test_the_network_is_named_unless_it_is_the_default(
    run: Run, monkeypatch: pytest.MonkeyPatch, network: str, name: str
) -> None:
    saved("photo.jpg")()
    load = Upscaler.from_pretrained
    monkeypatch.setattr(Upscaler, "from_pretrained", lambda _, **more: load(run.weights, **more))
    assert upscale.main(["-i", "photo.jpg", "-s", "2", "-n", network]) == 0
    assert files() == ["photo.jpg", name]
    assert upscale.main(["-i", ".", "-s", "4"]) == 0  # results of other runs are no pictures
    assert files() == ["photo.jpg", *sorted([name, "photo_x4.png"])]


def test_the_network_is_chosen_by_the_file_and_said(capsys: pytest.CaptureFixture[str], run: Run) -> None:
    """A JPEG of low quality is restored unless another network is named, which is then warned of."""
    image = Image.effect_noise((40, 30), 60).convert("RGB")
    image.save("low.jpg", quality=30)
    image.save("high.jpg", quality=95)
    assert upscale.main(["-i", "low.jpg", "high.jpg", "-s", "2"]) == 0
    out, errors = capsys.readouterr()
    assert "low.jpg: 40x30 -> 80x60 by prosrn_jpeg, a JPEG of quality 30, low_x2.png" in out
    assert f"high.jpg: 40x30 -> 80x60 by {DEFAULT_MODEL}, a JPEG of quality 95, high_x2.png" in out
    assert "warning" not in errors
    for name in ("low", "high"):
        assert upscale.main(["-i", f"{name}.jpg", "-s", "2", "-n", DEFAULT_MODEL, "--suffix", "_named"]) == 0
    errors = capsys.readouterr().err
    assert errors.count("warning: ") == 1
    assert f"low.jpg is a JPEG of quality 30, and {DEFAULT_MODEL} was trained on clean pictures" in errors
    pixels = {path.stem: np.asarray(Image.open(path)) for path in Path().glob("*.png")}
    assert np.array_equal(pixels["high_x2"], pixels["high_named"])
    assert not np.array_equal(pixels["low_x2"], pixels["low_named"])
    assert upscale.main(["-i", "low.jpg", "-s", "2", "--denoise", "0"]) == 0
    assert "low.jpg: 40x30 -> 80x60 by prosrn_jpeg with denoise 0, a JPEG of" in capsys.readouterr().out
    assert np.array_equal(np.asarray(Image.open("low_x2_denoise0.png")), pixels["low_named"])
    capsys.readouterr()
    assert upscale.main(["-i", ".", "-s", "4"]) == 0  # no result is enlarged again
    assert {path.name for path in Path().glob("*_x4.png")} >= {"low_x4.png", "high_x4.png"}
    assert not list(Path().glob("*denoise0_x4.png"))


def test_files_that_are_passed_over_are_counted_by_kind(run: Run) -> None:
    saved("a.png")()
    for name in ("b.txt", "c.txt", "d.MOV", "e", ".hidden"):
        content(name, b"no picture")()
    _, out, _ = run("-i", ".", "-s", "2")
    assert out.endswith("1 enlarged, passed over: 1 .mov, 2 .txt, 1 no suffix\n")


def test_same_keeps_format_quality_and_subsampling(run: Run) -> None:
    noise = Image.effect_noise((32, 32), 60).convert("RGB")
    noise.save("a.jpg", quality=61, subsampling=2)
    noise.save("b.webp", lossless=True)
    saved("c.tif")()
    saved("d.TGA")()
    assert run("-i", ".", "-o", "out", "-s", "2", "--ext", "same")[0] == 0
    assert files("out") == ["a_x2.jpg", "b_x2.webp", "c_x2.tif", "d_x2.png"]
    with Image.open("a.jpg") as before, Image.open("out/a_x2.jpg") as after:
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before) == 2
    assert b"VP8L" in Path("out/b_x2.webp").read_bytes()


def test_quality(run: Run) -> None:
    Image.effect_noise((64, 64), 60).convert("RGB").save("a.png")
    for extension in ("jpg", "webp", "avif"):
        sizes = []
        for quality in ("20", "90"):
            assert run("-i", "a.png", "-o", f"{quality}.{extension}", "-s", "2", "--quality", quality)[0] == 0
            sizes.append(Path(f"{quality}.{extension}").stat().st_size)
        assert 2 * sizes[0] < sizes[1]
    with pytest.raises(SystemExit):
        run("-i", "a.png", "--quality", "0")


def test_what_cannot_be_written_is_refused_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    saved("a.png", "RGBA")()
    content("file", b"")()
    monkeypatch.setattr(Upscaler, "enlarge", lambda *_, **__: pytest.fail("the work began"))
    for words, message in (
        (("--ext", "jpg"), "cannot hold the transparency"),
        (("-o", "file/below"), "file/below/a_x2.png cannot be written"),
    ):
        code, _, errors = run("-i", "a.png", "-s", "2", *words)
        assert code == 1
        assert message in errors


FRAMES = [Image.new("RGB", (9, 7), colour) for colour in ("red", "green", "blue")]


@pytest.mark.parametrize("source", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("target", [".gif", ".webp", ".png", ".avif"])
def test_every_frame_is_enlarged_with_its_time_and_loop(run: Run, source: str, target: str) -> None:
    options = {"lossless": True} if source == ".webp" else {}
    FRAMES[0].save(f"a{source}", save_all=True, append_images=FRAMES[1:], duration=[100, 200, 300], loop=3, **options)
    code, _, errors = run("-i", f"a{source}", "-o", f"b{target}", "-s", "2")
    assert code == 0, errors
    with Image.open(f"b{target}") as image:
        assert image.n_frames == 3
        assert target == ".avif" or image.info["loop"] == 3  # Pillow does not say it of AVIF
        for number, frame in enumerate(FRAMES):
            image.seek(number)
            image.load()
            assert image.size == (18, 14)
            assert image.info["duration"] == 100 * (number + 1)
            difference = np.asarray(image.convert("RGB")).astype(int) - np.asarray(frame)[0, 0]
            assert np.abs(difference).max() < 30


def test_first_takes_the_first_frame_and_formats_of_one_picture_say_so(run: Run) -> None:
    FRAMES[0].save("a.gif", save_all=True, append_images=FRAMES[1:])
    code, _, errors = run("-i", "a.gif", "-s", "2", "--ext", "jpg")
    assert code == 1
    assert "JPEG holds one picture, got 3 frames or pages" in errors
    assert run("-i", "a.gif", "-s", "2", "--ext", "jpg", "--first")[0] == 0
    assert size_of("a_x2.jpg") == (18, 14)


def test_pages_become_pages(run: Run) -> None:
    with tifffile.TiffWriter("a.tif") as file:
        for value in (1000, 30000):
            file.write(np.full((7, 9, 3), value, np.uint16), photometric="rgb", metadata=None)
    assert run("-i", "a.tif", "-s", "2")[0] == 0
    with tifffile.TiffFile("a_x2.tif") as tiff:
        assert [page.shape for page in tiff.pages] == [(14, 18, 3)] * 2
        assert [
            abs(float(page.asarray().mean()) - value) < 400
            for page, value in zip(tiff.pages, (1000, 30000), strict=True)
        ]
    assert run("-i", "a.tif", "-s", "2", "--first")[0] == 0
    assert size_of("a_x2.png") == (18, 14)


def test_each_page_keeps_its_own_colour_profile(run: Run) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (7, 9, 3), np.uint16)
    wide, gray = imagecodecs.cms_profile("adobergb"), imagecodecs.cms_profile("gray", gamma=1.0)
    with tifffile.TiffWriter("a.tif") as file:
        for profile in (None, wide, None):
            file.write(pixels, photometric="rgb", metadata=None, iccprofile=profile)
        file.write(pixels[..., 0] // 8, photometric="minisblack", metadata=None, iccprofile=gray)
    assert run("-i", "a.tif", "-s", "2")[0] == 0
    with tifffile.TiffFile("a_x2.tif") as tiff:
        assert [page.iccprofile for page in tiff.pages] == [None, wide, None, None]
        assert tiff.pages[3].asarray().mean() > 2 * pixels.mean() / 8  # linear gray, brought to the gamma of sRGB
    assert run("-i", "a.tif", "-s", "2", "--ext", "png")[0] == 0
    with Image.open("a_x2.png") as image:
        assert "icc_profile" not in image.info
        plain = np.asarray(image.convert("RGB")).astype(float)
        image.seek(1)
        assert np.abs(np.asarray(image.convert("RGB")) - plain).max() > 20  # brought from Adobe RGB to sRGB


def test_a_picture_through_pipes(weights: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    command = [sys.executable, "-m", "prosr_lightning.upscale", "-i", "-", "-o", "-", "-s", "2", "-n", str(weights)]
    done = subprocess.run(
        command, check=False, input=(tmp_path / "a.png").read_bytes(), capture_output=True, cwd=tmp_path, timeout=200
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "b.png").write_bytes(done.stdout)
    assert size_of(str(tmp_path / "b.png")) == (18, 14)
    assert b"9x7 -> 18x14" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]  # no folder called "-"
    assert b"standard input: 9x7 -> 18x14, standard output" in done.stderr


@pytest.mark.parametrize(
    ("sent", "words", "message"),
    [
        (b"nonsense", ["-o", "-"], "error: standard input must be an image"),
        (None, ["-o", "-", "-s", "17"], "above 1 and at most 16"),
        (None, ["-o", "-", "--width", "3"], "error: standard input: The result must be larger"),
        (None, ["a.png", "-o", "-"], "Standard input must be the only picture, got 2 inputs"),
        (None, ["-o", "-", "--ext", "same"], "warning: Pictures without a suffix are not written as such"),
    ],
)
def test_messages_name_the_pipes_and_no_temporary_files(
    run: Run, monkeypatch: pytest.MonkeyPatch, sent: bytes | None, words: list[str], message: str
) -> None:
    saved("a.png")()
    content = io.BytesIO(Path("a.png").read_bytes() if sent is None else sent)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    _, _, errors = run("-i", "-", *words)
    assert message in errors
    assert "prosr-" not in errors
    assert tempfile.gettempdir() not in errors


def test_a_kind_that_cannot_be_written_is_told_once(run: Run) -> None:
    for name in ("a.ppm", "b.ppm", "c.TGA", "d.jpg"):
        saved(name)()
    code, out, errors = run("-i", "a.ppm", "b.ppm", "c.TGA", "d.jpg", "-s", "2", "--ext", "same")
    assert code == 0
    assert "4 enlarged" in out
    assert errors.splitlines() == [
        f"warning: Pictures *.{kind} are not written as such; with --ext same their results are PNG."
        for kind in ("ppm", "tga")
    ]
    assert {path.name for path in Path().glob("*_x2.*")} == {"a_x2.png", "b_x2.png", "c_x2.png", "d_x2.jpg"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", ["pipe.png", "pipe.tif"])
def test_a_named_pipe_is_refused_and_not_waited_for(run: Run, name: str) -> None:
    os.mkfifo(name)
    code, _, errors = run("-i", name, "-s", "2")
    assert code == 1
    assert f"{name} must be a file, got a folder, a pipe or a device; pass what comes through a pipe by -i -" in errors


def test_closed_pipes_and_unknown_users_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    saved("a.png")()
    assert "~nobody-of-that-name/a.png must be an image file" in run("-i", "~nobody-of-that-name/a.png")[2]
    for stream, name in (("stdin", "input"), ("stdout", "output")):
        with monkeypatch.context() as patch:
            patch.setattr(sys, stream, None)
            code = upscale.main(["-i", "-", "-o", "-", "-n", str(run.weights)])
        assert code == 1
        assert f"Standard {name} must be open for -, got a closed one" in run.capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_full_standard_output_is_named(weights: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    command = [sys.executable, "-m", "prosr_lightning.upscale", "-i", "a.png", "-o", "-", "-s", "2", "-n", str(weights)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, timeout=200)
    assert done.returncode == 1
    assert b"Standard output cannot be written: No space left on device; free space" in done.stderr


def test_a_picture_from_a_pipe_needs_a_place(run: Run) -> None:
    code, _, errors = run("-i", "-")
    assert code == 1
    assert "--output must say where" in errors


def test_a_picture_from_a_pipe_is_the_only_one(run: Run) -> None:
    saved("a.png")()
    code, _, errors = run("-i", "-", "-i", "a.png", "-o", "out")
    assert code == 1
    assert "Standard input must be the only picture, got 2 inputs" in errors
    assert not Path("out").exists()


def test_an_input_that_is_named_again_is_one_more(run: Run) -> None:
    saved("a.png")()
    saved("b.png")()
    code, out, _ = run("-i", "a.png", "-i", "b.png", "-s", "2")
    assert code == 0
    assert "2 enlarged" in out


@pytest.mark.parametrize(
    ("head", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pillow-heif"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "pillow-jxl-plugin"),
        (b"\xff\x0a\xfa", "pillow-jxl-plugin"),
    ],
)
def test_a_format_that_needs_a_package_names_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, head: bytes, package: str
) -> None:
    def unknown(*_: object) -> None:
        raise reading.UnidentifiedImageError

    content("a.heic", head + bytes(100))()
    monkeypatch.setattr(reading.Image, "open", unknown)
    code, _, errors = run("-i", ".", "-s", "2")
    assert code == 1
    assert f"pip install {package}" in errors


def test_heic_is_read_where_its_plugin_is_installed(run: Run) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(picture(size=(64, 48))).save("a.heic", quality=90)
    values = np.linspace(0, 65535, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint16)
    heif.from_bytes(mode="RGB;16", size=(64, 48), data=values.tobytes()).save("deep.heic", quality=-1)
    code, _, errors = run("-i", ".", "-s", "2")
    assert code == 0, errors
    assert size_of("a_x2.png") == (128, 96)
    deep = reading.read_picture("deep.heic").pixels
    assert deep.dtype == np.uint16
    assert np.abs(deep.astype(int) - values).max() < 1500  # 10 bits, and colour at half size
    assert reading.read_picture("deep_x2.png").pixels.dtype == np.uint16


def test_a_jpeg_that_lacks_its_end_marker_is_enlarged_and_one_that_lacks_more_is_not(run: Run) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save("a.jpg")
    data = Path("a.jpg").read_bytes()
    content("b.jpg", data[:-2])()
    content("c.jpg", data[:-40])()
    code, out, errors = run("-i", ".", "-s", "2")
    assert code == 1
    assert "2 enlarged, 1 failed" in out
    assert "b.jpg lacks its end marker" in errors
    assert "c.jpg cannot be read" in errors
    assert np.array_equal(reading.read_picture("a_x2.png").pixels, reading.read_picture("b_x2.png").pixels)
