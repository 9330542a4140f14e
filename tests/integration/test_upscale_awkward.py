"""`prosr-upscale` on awkward inputs: each row says what happens, and nothing is ever half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from awkward_pictures import (
    Run,
    animated,
    content,
    cut_short,
    damaged_png,
    deep,
    float_tiff,
    folder,
    huge,
    link_to,
    opaque,
    saved,
    unsigned_32_bit_tiff,
    with_orientation,
)

from prosr_lightning.pictures.reading import read_picture

ENLARGED = [
    # made by, options, mode and channels of the result
    pytest.param(saved("a.png", "1"), "uint8", 1, id="1 bit PNG"),
    pytest.param(saved("a.png", "L"), "uint8", 1, id="gray PNG"),
    pytest.param(saved("a.png", "LA"), "uint8", 2, id="gray and alpha PNG"),
    pytest.param(saved("a.png", "P"), "uint8", 3, id="palette PNG"),
    pytest.param(saved("a.png", "P", transparency=0), "uint8", 4, id="palette PNG with a transparent colour"),
    pytest.param(saved("a.png", "RGB", transparency=(0, 0, 0)), "uint8", 4, id="RGB PNG with a transparent colour"),
    pytest.param(saved("a.png", "RGBA"), "uint8", 4, id="RGBA PNG"),
    pytest.param(saved("a.png", "I;16"), "uint16", 1, id="16 bit gray PNG"),
    pytest.param(deep("a.png", 2), "uint16", 2, id="16 bit gray and alpha PNG"),
    pytest.param(deep("a.png", 3), "uint16", 3, id="16 bit RGB PNG"),
    pytest.param(deep("a.png", 4), "uint16", 4, id="16 bit RGBA PNG"),
    pytest.param(deep("a.tif", 3), "uint16", 3, id="16 bit RGB TIFF"),
    pytest.param(deep("a.tif", 2), "uint16", 2, id="16 bit gray and alpha TIFF"),
    pytest.param(saved("a.tif", "CMYK"), "uint8", 3, id="CMYK TIFF"),
    pytest.param(saved("a.tif", "LAB"), "uint8", 3, id="Lab TIFF"),
    pytest.param(float_tiff(0.5), "uint8", 1, id="floating-point TIFF becomes 8 bit PNG with a warning"),
    pytest.param(saved("a.jpg"), "uint8", 3, id="JPEG"),
    pytest.param(saved("a.jpg", "L"), "uint8", 1, id="gray JPEG"),
    pytest.param(saved("a.jpg", "CMYK"), "uint8", 3, id="CMYK JPEG"),
    pytest.param(saved("a.jpg", progressive=True), "uint8", 3, id="progressive JPEG"),
    pytest.param(saved("a.webp"), "uint8", 3, id="WebP"),
    pytest.param(saved("a.webp", "RGBA"), "uint8", 4, id="WebP with alpha"),
    pytest.param(saved("a.bmp"), "uint8", 3, id="BMP"),
    pytest.param(saved("a.gif", "P"), "uint8", 3, id="GIF"),
    pytest.param(animated("a.gif"), "uint8", 3, id="animated GIF, first frame"),
    pytest.param(saved("a.ppm"), "uint8", 3, id="PPM"),
    pytest.param(saved("a.tga"), "uint8", 3, id="TGA"),
    pytest.param(saved("a.jp2"), "uint8", 3, id="JPEG 2000"),
    pytest.param(saved("a.jpg", format="PNG"), "uint8", 3, id="PNG named .jpg"),
    pytest.param(saved("a", format="PNG"), "uint8", 3, id="no suffix"),
    pytest.param(saved("A.JPG"), "uint8", 3, id="capital suffix"),
    pytest.param(saved("mein  Bild (1) [x].png"), "uint8", 3, id="spaces and brackets"),
    pytest.param(saved("写真 ü é \U0001f4f7.png"), "uint8", 3, id="non-ASCII"),
    pytest.param(saved("n" * 240 + ".png"), "uint8", 3, id="very long name"),
    pytest.param(saved("-dash.png"), "uint8", 3, id="leading dash"),
    pytest.param(saved("a.b.c.png"), "uint8", 3, id="several dots"),
    pytest.param(saved("a.png", size=(1, 1)), "uint8", 3, id="1x1"),
    pytest.param(saved("a.png", size=(1, 300)), "uint8", 3, id="1x300"),
    pytest.param(saved("a.png", size=(3001, 2)), "uint8", 3, id="3001x2"),
    pytest.param(saved("a.png", size=(640, 480)), "uint8", 3, id="640x480"),
    pytest.param(with_orientation("a.jpg"), "uint8", 3, id="turned by EXIF"),
    pytest.param(saved("a.jpg", exif=b"Exif\0\0nonsense"), "uint8", 3, id="damaged EXIF"),
    pytest.param(saved("a.png", icc_profile=b"nonsense"), "uint8", 3, id="damaged ICC profile"),
]


@pytest.mark.parametrize(("make", "dtype", "channels"), ENLARGED)
def test_awkward_pictures_are_enlarged(run: Run, make: Callable[[], str], dtype: str, channels: int) -> None:
    source = Path(make())
    before = read_picture(source).pixels
    code, out, errors = run("-i", f"./{source}", "-s", "2", "-o", "out")
    assert code == 0, errors
    assert "Traceback" not in errors
    after = read_picture(Path("out") / f"{source.stem}_x2.png").pixels
    assert after.dtype == dtype
    assert after.shape == (2 * before.shape[0], 2 * before.shape[1], channels)
    shrunk = after[::2, ::2].astype(float) / np.iinfo(after.dtype).max
    scale = 1 if before.dtype.kind == "f" else np.iinfo(before.dtype).max
    assert np.abs(shrunk - before.astype(float) / scale).mean() < 0.2  # an untrained network enlarges bilinearly
    assert f"{before.shape[1]}x{before.shape[0]} -> {after.shape[1]}x{after.shape[0]}" in out
    assert [path.name for path in Path("out").iterdir()] == [f"{source.stem}_x2.png"]


REFUSED = [
    pytest.param(content("a.png", b""), (), "empty file", id="zero bytes"),
    pytest.param(content("a.png", b"<html>404</html>"), (), "must be an image", id="a web page"),
    pytest.param(content("a.jpg", bytes(1000)), (), "must be an image", id="zeros"),
    pytest.param(content("a.png", b"\x89PNG\r\n\x1a\n"), (), "a.png", id="PNG signature only"),
    pytest.param(cut_short("a.png"), (), "cannot be read", id="PNG cut short"),
    pytest.param(cut_short("a.jpg"), (), "cannot be read", id="JPEG cut short"),
    pytest.param(cut_short("a.webp"), (), "a.webp", id="WebP cut short"),
    pytest.param(cut_short("a.tif"), (), "a.tif", id="TIFF cut short"),
    pytest.param(damaged_png, (), "a.png cannot be read", id="damaged PNG"),
    pytest.param(content("a.tif", b"II*\0\x08\0\0\0\0\0"), (), "a.tif", id="TIFF without pictures"),
    pytest.param(unsigned_32_bit_tiff, (), "8 or 16 bits", id="32 bit TIFF"),
    pytest.param(float_tiff(300.0), (), "in [0, 1]", id="floating-point TIFF out of range"),
    pytest.param(lambda: "missing.png", (), "found nothing there", id="missing file"),
    pytest.param(lambda: "missing*.png", (), "must match pictures", id="pattern without matches"),
    pytest.param(folder("a.png"), (), "must hold pictures", id="folder named like a picture"),
    pytest.param(link_to("a.png", "a.png"), (), "a.png", id="link to itself"),
    pytest.param(link_to("a.png", "gone.png"), (), "found nothing there", id="dangling link"),
    pytest.param(lambda: "/dev/null", (), "/dev/null", id="a device"),
    pytest.param(saved("a.png"), ("-o", "a.png"), "must not be the picture itself", id="onto itself"),
    pytest.param(saved("a.png"), ("-o", "./a.png/../a.png"), "a.png", id="onto itself by a detour"),
    pytest.param(
        saved("a.png"), ("--suffix", ""), "must not be the picture itself", id="onto itself by an empty suffix"
    ),
    pytest.param(saved("a.png"), ("-o", "out.xyz.gif/b.png/c.png/"), None, id="new folders are made"),
    pytest.param(saved("a.png"), ("-o", "/dev/null/out"), "/dev/null", id="folder below a device"),
    pytest.param(saved("a.png"), ("-o", "/proc/nowhere"), "cannot be written", id="folder that cannot be made"),
    pytest.param(opaque, ("--ext", "jpg"), None, id="opaque alpha into JPEG"),
    pytest.param(deep("a.png", 4), ("--ext", "jpg"), "cannot hold the transparency", id="transparency into JPEG"),
    pytest.param(saved("a.png", size=(8192, 1)), ("--ext", "jpg", "-s", "8"), "at most 65535", id="too wide for JPEG"),
    pytest.param(saved("a.png", size=(1, 8192)), ("--ext", "webp"), "at most 16383", id="too high for WebP"),
    pytest.param(huge, (), "--allow-huge", id="12000x9000 without permission"),
]


@pytest.mark.parametrize(("make", "options", "message"), REFUSED)
def test_what_cannot_be_done_is_named_and_the_rest_goes_on(
    run: Run, make: Callable[[], str], options: tuple[str, ...], message: str | None
) -> None:
    source = make()
    saved("good.jpg")()
    files = {path: path.stat().st_size for path in Path().iterdir() if path.is_file()}
    outputs = () if "-o" in options else ("good.jpg",)
    code, out, errors = run("-i", source, *outputs, *(() if "-s" in options else ("-s", "2")), *options)
    assert "Traceback" not in errors
    if message is None:
        assert code == 0, errors
        return
    assert code == 1
    assert message in errors.replace("\n", " ")
    assert "1 failed" in out
    assert {path: path.stat().st_size for path in files} == files
    assert all(path.stat().st_size for path in Path().rglob("*_x2*"))
    assert not [path for path in Path().rglob(".*") if path.is_file()]
    if outputs:
        name = "good" if "--suffix" in options else "good_x8" if "-s" in options else "good_x2"
        assert Path(f"{name}.{options[1] if '--ext' in options else 'png'}").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_12000_by_9000_with_permission(run: Run) -> None:
    huge()
    code, out, errors = run("-i", "a.png", "-s", "2", "--allow-huge")
    assert code == 0, errors
    assert "12000x9000 -> 24000x18000" in out
    assert read_picture("a_x2.png", allow_huge=True).pixels.shape == (18000, 24000, 1)
