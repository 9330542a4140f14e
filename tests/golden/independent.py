"""The protocol written a second time, from the definitions, in numpy, on 0..255. It must not import the package."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d
from skimage.metrics import structural_similarity


def cubic(x):
    """Keys' kernel with a = -0.5, as MATLAB has it."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def weights(length, scale, out=None):
    """Matrix (out, in) of MATLAB's imresize along one axis; `scale` is the factor, below 1 to shrink."""
    out = int(np.ceil(length * scale)) if out is None else out
    width = 4 / min(scale, 1)
    matrix = np.zeros((out, length))
    for row in range(out):
        centre = (row + 1) / scale + 0.5 * (1 - 1 / scale)  # MATLAB counts from 1
        first = int(np.floor(centre - width / 2))
        taps = np.arange(first, first + int(np.ceil(width)) + 2)
        values = cubic((centre - taps) * min(scale, 1))
        values /= values.sum()
        mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])
        for tap, value in zip(taps, values, strict=True):
            matrix[row, mirror[(tap - 1) % (2 * length)]] += value
    return matrix


def imresize(plane, scale):
    return weights(plane.shape[0], scale) @ plane @ weights(plane.shape[1], scale).T


def imresize_to(plane, size):
    """Return what `imresize(plane, [rows columns], 'bicubic')` does: a factor of its own for each axis."""
    down, across = (weights(length, out / length, out) for length, out in zip(plane.shape, size, strict=True))
    return down @ plane @ across.T


def luminance(rgb8):
    rgb = rgb8.astype(np.float64)
    return 16 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255


def round8(plane):
    return np.clip(np.round(plane), 0, 255)


def crop(plane, border):
    return plane[border:-border, border:-border]


def psnr(result, truth):
    return 10 * np.log10(255**2 / np.mean((result - truth) ** 2))


def ssim_skimage(result, truth):
    return structural_similarity(truth, result, data_range=result.max() - truth.min())


def ssim_gaussian(result, truth, *, valid):
    """Wang et al. with `valid`, else MATLAB's built-in: edges replicated, all pixels counted."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    line /= line.sum()

    def blur(plane):
        smooth = correlate1d(correlate1d(plane, line, axis=0, mode="nearest"), line, axis=1, mode="nearest")
        return smooth[5:-5, 5:-5] if valid else smooth

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    m1, m2 = blur(result), blur(truth)
    v1, v2, v12 = blur(result**2) - m1**2, blur(truth**2) - m2**2, blur(result * truth) - m1 * m2
    return np.mean((2 * m1 * m2 + c1) * (2 * v12 + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2)))


def picture(name):
    """Small pictures made of whole numbers only, so that they are the same everywhere."""
    height, width, slope = {"odd": (67, 85, 3), "wide": (64, 96, 5), "flat": (72, 65, 1)}[name]
    y, x = np.mgrid[:height, :width]
    rings = ((x - 20) ** 2 + (y - 30) ** 2) // 16 * slope
    checks = ((x // 6 + y // 5) % 2) * 90
    grain = (x * 7919 + y * 104729 + x * y * 31) % 23
    red, green, blue = rings % 256, (x * slope + checks + grain) % 256, (255 - y * 2 + checks // 2 + grain) % 256
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)
