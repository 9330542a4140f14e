"""The exported graphs compute what the package computes."""

from __future__ import annotations

import pytest
import torch

from prosr_lightning.export.graphs import LuminanceStep, RgbChain, bicubic_kernel
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks import Generator
from prosr_lightning.upscale.upscaler import Upscaler


def lively() -> Generator:
    torch.manual_seed(0)
    network = Generator(depth=1, channels=4)
    with torch.no_grad():
        network.fusion.weight.normal_(std=0.05)
    return network.eval()


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (9, 14)])
def test_the_chroma_of_the_graph_is_matlabs_bicubic(scale: int, size: tuple[int, int]) -> None:
    chroma = torch.rand(2, 2, *size)
    expected = bicubic_upscale(chroma, scale)
    assert (RgbChain(lively(), scale=scale).chroma(chroma) - expected).abs().max().item() < 1e-5


def test_the_kernel_neither_brightens_nor_darkens() -> None:
    for scale in (2, 4, 16):
        assert bicubic_kernel(scale).reshape(4, scale).sum(dim=0).tolist() == pytest.approx([1.0] * scale)


@pytest.mark.parametrize("scale", [2, 4])
@torch.inference_mode()
def test_the_rgb_graph_is_the_upscaler(scale: int) -> None:
    rgb = torch.rand(2, 3, 9, 14)
    expected = Upscaler.from_network(lively(), device="cpu").upscale(rgb, scale)
    assert (RgbChain(lively(), scale=scale)(rgb) - expected).abs().max().item() < 1e-5


@torch.inference_mode()
def test_the_step_is_the_network() -> None:
    luminance = torch.rand(2, 1, 5, 4)
    assert torch.equal(LuminanceStep(lively(), factor=2)(luminance), lively()(luminance))
