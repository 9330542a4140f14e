"""Write generated.csv beside this file."""

from __future__ import annotations

import csv
from pathlib import Path

from golden.independent import crop, imresize, luminance, picture, psnr, round8, ssim_gaussian, ssim_skimage

COLUMNS = ("image", "scale", "psnr_float", "ssim_skimage", "ssim_wang", "ssim_matlab", "psnr_y8", "ssim_wang_y8")


def row(name, scale):
    truth = luminance(picture(name))
    height, width = truth.shape
    truth = truth[: height - height % scale, : width - width % scale]
    result, whole = crop(imresize(imresize(truth, 1 / scale), scale), scale), crop(truth, scale)
    truth8 = round8(truth)
    result8, whole8 = crop(round8(imresize(imresize(truth8, 1 / scale), scale)), scale), crop(truth8, scale)
    values = (
        psnr(result, whole),
        ssim_skimage(result, whole),
        ssim_gaussian(result, whole, valid=True),
        ssim_gaussian(result, whole, valid=False),
        psnr(result8, whole8),
        ssim_gaussian(result8, whole8, valid=True),
    )
    return (name, scale, *(f"{value:.8f}" for value in values))


if __name__ == "__main__":
    with (Path(__file__).parent / "generated.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row(name, scale) for name in ("odd", "wide", "flat") for scale in (2, 3, 4, 8))
