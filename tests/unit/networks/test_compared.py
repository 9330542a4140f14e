from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning import networks
from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.losses import content_loss
from prosr_lightning.networks import SRCNN, VDSR, DirectNetwork, LapSRN, MSLapSRN, SRNetwork, build_network
from prosr_lightning.networks.compared.base import radius_before_bicubic

SMALL: dict[str, dict[str, Any]] = {
    "SRCNN": {"channels": (4, 3)},
    "FSRCNN": {"channels": 5, "shrunk": 3, "mappings": 2},
    "ESPCN": {"channels": (4, 3)},
    "VDSR": {"depth": 4, "channels": 4},
    "DRCN": {"recursions": 3, "channels": 4},
    "DRRN": {"blocks": 2, "units": 2, "channels": 3},
    "SRResNet": {"blocks": 2, "channels": 3},
    "LapSRN": {"depth": 2, "channels": 4},
    "MSLapSRN": {"depth": 2, "recursions": 2, "channels": 4},
}
METHODS = list(SMALL)
PYRAMIDS = ["LapSRN", "MSLapSRN"]
DIRECT = [method for method in METHODS if method not in PYRAMIDS]
BICUBIC_INPUT = ["SRCNN", "VDSR", "DRCN", "DRRN"]  # Table 1


def _paper(method: str, scale: int, **arguments: Any) -> SRNetwork:
    own_scale = {} if method == "MSLapSRN" else {"scale": scale}
    network = getattr(networks, method)(**own_scale, **arguments)
    assert isinstance(network, SRNetwork)
    return network


def _small(method: str, scale: int, *, positive: bool = False) -> SRNetwork:
    """A small network in float64; where `positive`, no ReLU is shut and no two paths cancel."""
    torch.manual_seed(0)
    network = _paper(method, scale, **SMALL[method]).double()
    if positive:
        for parameter in network.parameters():
            nn.init.uniform_(parameter, 0.01, 0.1)
    return network


def _lr(height: int = 5, width: int = 7, count: int = 1) -> Tensor:
    return torch.rand(count, 1, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("method", METHODS)
def test_images_of_any_size_at_each_scale(method: str, scale: int):
    network = _small(method, scale)
    factors = [2, 4, 8][: (2, 4, 8).index(scale) + 1] if method in PYRAMIDS else [scale]
    for height, width in ((5, 7), (2, 1), (8, 3)):
        images = network.progressive(_lr(height, width, count=2), scale)
        assert {f: image.shape for f, image in images.items()} == {f: (2, 1, f * height, f * width) for f in factors}
    assert network.training_levels(scale) == tuple(factors)
    assert isinstance(network, SRNetwork)


@pytest.mark.parametrize("method", METHODS)
def test_forward_progressive_supervised_and_enlarge_agree(method: str):
    network = _small(method, 4).eval()
    images = network.progressive(_lr(), 4)
    called = network(_lr()) if isinstance(network, DirectNetwork) else network(_lr(), 4)[4]
    assert torch.equal(called, images[4])
    assert torch.equal(network.enlarge(_lr(), 4), images[4])
    supervised = network.supervised(_lr(), 4)
    assert supervised.keys() == images.keys()
    assert all(torch.equal(image, supervised[factor][0]) for factor, image in images.items())


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_reach_every_parameter(method: str, scale: int):
    network = _small(method, scale)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)  # of both signs, for PReLU's slopes
    weights = torch.randn(64, 64, dtype=torch.float64)
    images = network.progressive(_lr(count=2), scale).values()
    loss = sum((image * weights[: image.shape[-2], : image.shape[-1]]).sum() for image in images)
    loss.backward()  # type: ignore[union-attr]  # a tensor: there is an image
    idle = [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9]
    assert idle == []


@pytest.mark.parametrize("method", METHODS)
def test_gradients_in_float64(method: str):
    network = _small(method, 2, positive=True).eval()
    lr = _lr(2, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: network.enlarge(image, 2), lr)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("method", METHODS)
def test_the_architecture_rebuilds_the_network_with_equal_outputs(method: str, scale: int):
    network = _small(method, scale, positive=True).eval()
    architecture = json.loads(json.dumps(network.architecture))  # plain values only
    copy = build_network(architecture).double().eval()
    copy.load_state_dict(network.state_dict())
    assert type(copy) is type(network)
    assert copy.architecture == network.architecture == architecture
    assert architecture["_target_"] == f"prosr_lightning.networks.{method}"
    images, others = copy.progressive(_lr(), scale), network.progressive(_lr(), scale)
    assert all(torch.equal(images[factor], others[factor]) for factor in images)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("method", METHODS)
def test_the_receptive_radius_is_exact(method: str, scale: int):
    network = _small(method, scale, positive=True).eval()
    levels = len(network.training_levels(scale))
    radius = network.receptive_radius
    bound = int(radius * (2 - 2 ** (1 - levels))) if levels > 1 else radius  # level n adds at most half of level n - 1
    centre = bound + 2
    lr = _lr(2 * centre + 1, 2 * centre + 1).requires_grad_()
    patch = slice(scale * centre, scale * (centre + 1))
    network.enlarge(lr, scale)[..., patch, patch].sum().backward()
    assert lr.grad is not None
    reached = (lr.grad[0, 0] != 0).any(dim=0).nonzero().flatten() - centre
    furthest = int(reached.abs().max())
    assert furthest == radius if levels == 1 else radius < furthest <= bound


def test_the_radius_before_bicubic_by_hand():
    # 2x, 1 px: output 0 reads enlarged -1..1, which lie at -1.25, -0.75 and -0.25 + 0.5: the taps start at -2
    assert radius_before_bicubic(1, 2) == 3 - 1
    assert radius_before_bicubic(2, 2) == 3
    assert radius_before_bicubic(20, 4) == 7


def test_lapsrn_gives_its_smaller_scales():
    network = _small("LapSRN", 8)
    assert network.scales == (2, 4, 8)
    assert torch.equal(network.progressive(_lr(), 8)[4], network.progressive(_lr(), 4)[4])
    assert MSLapSRN(depth=1, channels=1).scales is None


@pytest.mark.parametrize("method", DIRECT)
def test_direct_methods_have_one_scale(method: str):
    network = _small(method, 4)
    assert network.scales == (4,)
    with pytest.raises(ConfigError) as caught:
        network.progressive(_lr(), 2)
    assert str(caught.value) == (
        f"`scale` must be 4 for this {method}, which was built for it, got 2; build and train a {method} with scale=2."
    )
    with pytest.raises(ConfigError, match="`scale` must be 4 for this"):
        network.supervised(_lr(), 8)
    with pytest.raises(ConfigError, match="`scale` must be 4 for this"):
        network.training_levels(16)


def test_lapsrn_refuses_scales_beyond_its_levels():
    with pytest.raises(
        ConfigError, match="`scale` must be 2 or 4 for this LapSRN, which was built for it, got 8; build"
    ):
        _small("LapSRN", 4).progressive(_lr(), 8)


@pytest.mark.parametrize("method", METHODS)
def test_other_scales_and_sizes_are_refused(method: str):
    with pytest.raises(ConfigError, match="`scale` must be a power of two >= 2, got 3"):
        _small(method, 2).progressive(_lr(), 3)
    if method != "MSLapSRN":
        with pytest.raises(ConfigError, match="`scale` must be a power of two >= 2, got 3"):
            _small(method, 3)
    for name, value in SMALL[method].items():
        wrong: Any = (0, 3) if isinstance(value, tuple) else 0
        with pytest.raises(ConfigError, match=f"`{name}` must be a whole number >= 1, got 0; "):
            _paper(method, 2, **{name: wrong})


def test_further_refusals():
    with pytest.raises(
        ConfigError, match=r"`scale` must be at most 8 for FSRCNN.* would leave gaps, got 16; choose 2, 4"
    ):
        _small("FSRCNN", 16)
    with pytest.raises(
        ConfigError, match=r"`kernels` must be three odd numbers, got \[9, 2, 5\]; the default is 9, 1, 5"
    ):
        SRCNN(scale=2, kernels=(9, 2, 5))
    with pytest.raises(CheckpointError, match=r"The arguments stored for VDSR do not fit it: .*'scale'"):
        build_network({"name": "VDSR"})


@pytest.mark.parametrize("method", METHODS)
def test_adam_and_charbonnier_train_every_method(method: str):
    network = _small(method, 2).float()
    hr = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    lr = F.avg_pool2d(hr, 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        loss = content_loss(network.enlarge(lr, 2), hr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < losses[0]


def test_vdsr_is_deep_enough():
    assert VDSR(scale=2).receptive_radius == radius_before_bicubic(20, 2)  # 41x41, as its paper says
    with pytest.raises(ConfigError, match="`depth` must be at least 2 for VDSR, got 1; the default is 20"):
        VDSR(scale=2, depth=1)


def test_no_network_changes_its_input():
    for method in METHODS:
        lr = _lr()
        _small(method, 2).progressive(lr, 2)
        assert torch.equal(lr, _lr()), method


def test_the_paper_configurations_are_the_defaults():
    assert LapSRN(scale=2).arguments == {"scale": 2, "depth": 10, "channels": 64}
    assert MSLapSRN().arguments == {"depth": 5, "recursions": 8, "channels": 64}  # D5R8
