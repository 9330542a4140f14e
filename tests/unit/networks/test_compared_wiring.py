from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks import DRCN, DRRN, ESPCN, VDSR, LapSRN, MSLapSRN, SRNetwork, SRResNet
from prosr_lightning.networks.compared.drrn import RecursiveBlock
from prosr_lightning.networks.compared.lapsrn import FeatureUp


def _small(method: str, scale: int) -> SRNetwork:
    torch.manual_seed(0)
    networks: dict[str, SRNetwork] = {
        "VDSR": VDSR(scale=scale, depth=4, channels=4),
        "DRCN": DRCN(scale=scale, recursions=3, channels=4),
        "DRRN": DRRN(scale=scale, blocks=2, units=2, channels=3),
        "ESPCN": ESPCN(scale=scale, channels=(4, 3)),
        "SRResNet": SRResNet(scale=scale, blocks=2, channels=3),
        "LapSRN": LapSRN(scale=scale, depth=2, channels=4),
        "MSLapSRN": MSLapSRN(depth=2, recursions=2, channels=4),
    }
    return networks[method].double()


def _lr() -> Tensor:
    return torch.rand(1, 1, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("method", ["VDSR", "DRCN", "DRRN"])
def test_networks_with_a_global_residual_start_from_the_bicubic_image(method: str):
    sr = _small(method, 4).enlarge(_lr(), 4)
    torch.testing.assert_close(sr, bicubic_upscale(_lr(), 4), rtol=1e-7, atol=0)  # DRCN: 3 times 1 / 3 in float32


def test_drcn_offers_every_recursion_and_starts_from_their_mean():
    network = _small("DRCN", 2)
    nn.init.normal_(network.reconstruction[1].weight)
    assert not torch.allclose(network.enlarge(_lr(), 2), bicubic_upscale(_lr(), 2))
    image, *predictions = network.supervised(_lr(), 2)[2]
    assert len(predictions) == 3
    torch.testing.assert_close(image, torch.stack(predictions).mean(dim=0), rtol=1e-7, atol=0)  # 1 / 3 in float32
    assert torch.equal(predictions[0], predictions[2])  # the recursion starts as the identity (Sec. 3.2)
    assert isinstance(network, DRCN)
    network.average.data.copy_(torch.tensor([0.0, 2.0, 0.0]))
    assert torch.equal(network.enlarge(_lr(), 2), 2 * network.supervised(_lr(), 2)[2][2])


def test_feature_up_scatters_the_kernel_from_the_top_left():
    up = FeatureUp(channels=1)
    nn.init.zeros_(up.bias)  # type: ignore[arg-type]  # it has a bias
    up.weight.data.copy_(torch.arange(1.0, 10.0).reshape(1, 1, 3, 3))
    image = torch.tensor([[[[1.0, 10.0]]]])
    assert up(image)[0, 0].tolist() == [[1, 2, 3 + 10, 20], [4, 5, 6 + 40, 50]]


@pytest.mark.parametrize("method", ["LapSRN", "MSLapSRN"])
def test_pyramids_without_residual_are_bilinear_inside(method: str):
    network = _small(method, 4)
    for name, parameter in network.named_parameters():
        if "residual" in name:
            nn.init.zeros_(parameter)
    expected = F.interpolate(_lr(), scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.progressive(_lr(), 4)[2][..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_a_recursion_adds_the_source():
    torch.manual_seed(3)
    network = MSLapSRN(depth=1, recursions=3, channels=2).double()
    conv = network.convs[0]
    lr = _lr()
    source = network.entry(lr)
    features = source
    for _ in range(3):
        features = conv(F.leaky_relu(features, 0.2)) + source
    features = network.feature_up(F.leaky_relu(features, 0.2))
    expected = network.image_up(lr) + network.residual(features)
    torch.testing.assert_close(network.enlarge(lr, 2), expected, rtol=0, atol=1e-12)


def test_a_residual_unit_of_drrn_adds_the_entry_features():
    torch.manual_seed(3)
    block = RecursiveBlock(in_channels=1, channels=2, units=3).double().eval()
    entry = block.entry(F.relu(block.entry_norm(_lr())))
    features = entry
    for first_norm, second_norm in zip(block.first_norms, block.second_norms, strict=True):
        features = entry + block.second(F.relu(second_norm(block.first(F.relu(first_norm(features))))))
    torch.testing.assert_close(block(_lr()), features, rtol=0, atol=1e-12)


def test_srresnet_has_skips_in_and_around_its_blocks():
    network = _small("SRResNet", 2).eval()
    entry = network.entry(_lr())
    features = entry
    for block in network.blocks:
        features = features + block.layers(features)
    expected = network.last(network.up(entry + network.after_blocks(features)))
    torch.testing.assert_close(network.enlarge(_lr(), 2), expected, rtol=0, atol=1e-12)


def test_espcn_is_tanh_then_tanh_then_linear():
    network = _small("ESPCN", 2)
    first, second, last = (layer for layer in network.layers if isinstance(layer, nn.Conv2d))
    maps = last(torch.tanh(second(torch.tanh(first(_lr())))))
    sr = network.enlarge(_lr(), 2)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        torch.testing.assert_close(sr[0, 0, row::2, column::2], maps[0, 2 * row + column])


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("method", ["LapSRN", "MSLapSRN"])
def test_detaching_cuts_features_and_image_between_levels(method: str, detached: bool):
    network = _small(method, 4)
    lr = _lr().requires_grad_()
    first, second = network.progressive(lr, 4, detach_between_levels=detached).values()
    second.sum().backward(retain_graph=True)
    assert (lr.grad is None) == detached
    first.sum().backward()
    assert lr.grad is not None
