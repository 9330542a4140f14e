from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import Generator, count_layers, count_parameters

STRUCTURES = ["plain", "residual", "memory"]
FUSIONS = ["conv", "inception"]


def _generator(seed: int = 0, **arguments: Any) -> Generator:
    """A small generator in float64 that has left its start: every parameter is random."""
    torch.manual_seed(seed)
    generator = Generator(**{"depth": 2, "channels": 4, **arguments}).double()
    for parameter in generator.parameters():
        nn.init.normal_(parameter, std=0.3)
    return generator


def _lr(height: int = 5, width: int = 7, count: int = 1) -> Tensor:
    return torch.rand(count, 1, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def _bilinear(image: Tensor, times: int = 1) -> Tensor:
    for _ in range(times):
        image = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    return image


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (8, 3)])
@pytest.mark.parametrize("scale", [2, 4, 8, 16])
def test_every_level_doubles_any_size(scale: int, size: tuple[int, int]):
    images = list(_generator().progressive(_lr(*size, count=2), scale).values())
    factors = [2, 4, 8, 16][: len(images)]
    assert factors[-1] == scale
    assert [tuple(image.shape) for image in images] == [(2, 1, f * size[0], f * size[1]) for f in factors]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_defaults_have_14_layers_and_436113_parameters(structure: str):
    generator = Generator(structure=structure)
    entry, memory, feature_up, fusion, image_up = (
        9 * 64 + 64,
        10 * (9 * 64 * 64 + 64),
        16 * 64 * 64 + 64,
        9 * 64 + 1,
        16,
    )
    assert count_layers(generator) == 14  # Table 1: entry, 10, feature_up, fusion, image_up
    assert count_parameters(generator) == entry + memory + feature_up + fusion + image_up == 436_113


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_three_structures_share_keys_shapes_and_parameters(fusion: str):
    shapes = [
        {
            name: value.shape
            for name, value in Generator(structure=structure, channels=8, fusion=fusion).state_dict().items()
        }
        for structure in STRUCTURES
    ]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (2, 9)])
def test_an_untrained_generator_is_bilinear_to_the_edge(structure: str, fusion: str, size: tuple[int, int]):
    torch.manual_seed(1)
    generator = Generator(structure=structure, depth=2, channels=4, fusion=fusion).double()
    images = list(generator.progressive(_lr(*size), 8).values())
    for level, image in enumerate(images, start=1):
        torch.testing.assert_close(image, _bilinear(_lr(*size), level), rtol=0, atol=1e-14)


def test_an_untrained_generator_still_learns():
    generator = Generator(depth=2, channels=4)
    generator(torch.rand(1, 1, 6, 6)).square().mean().backward()
    assert all(p.grad is not None for p in generator.parameters())
    assert generator.fusion.weight.grad.abs().max() > 0  # type: ignore[union-attr]  # the zero layer leaves zero first


@pytest.mark.parametrize("structure", STRUCTURES)
def test_forward_matches_the_equation_written_out(structure: str):
    generator = _generator(structure=structure)
    weights = {name: value.detach() for name, value in generator.named_parameters()}
    lr = _lr(4, 3)
    entry = F.leaky_relu(F.conv2d(lr, weights["entry.weight"], weights["entry.bias"], padding=1), 0.2)
    one = F.conv2d(entry, weights["features.convs.0.weight"], weights["features.convs.0.bias"], padding=1)
    one = F.leaky_relu(one + entry if structure == "memory" else one, 0.2)
    two = F.conv2d(one, weights["features.convs.1.weight"], weights["features.convs.1.bias"], padding=1)
    two = F.leaky_relu(two if structure == "plain" else two + entry, 0.2)
    up = F.conv_transpose2d(two, weights["feature_up.weight"], weights["feature_up.bias"], stride=2, padding=1)
    residual = F.conv2d(F.leaky_relu(up, 0.2), weights["fusion.weight"], weights["fusion.bias"], padding=1)
    repeated = lr[..., [0, *range(4), 3], :][..., [0, *range(3), 2]]
    image = F.conv_transpose2d(repeated, weights["image_up.weight"], stride=2, padding=1)[..., 2:-2, 2:-2]
    torch.testing.assert_close(generator(lr), image + residual, rtol=1e-12, atol=1e-12)


def test_4x_is_2x_applied_twice():
    generator = _generator()
    once, twice = generator.progressive(_lr(), 4).values()
    assert torch.equal(once, generator(_lr()))
    assert torch.equal(twice, generator(generator(_lr())))
    assert torch.equal(once, generator.progressive(_lr(), 2)[2])


def test_nothing_is_clamped():
    sr = _generator()(10 * _lr() - 5)
    assert sr.min() < 0
    assert sr.max() > 1


def test_gradients_in_float64_through_two_levels():
    generator = _generator(depth=1, channels=2)
    lr = _lr(2, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: generator.enlarge(image, 4), lr)


def test_gradients_reach_every_parameter():
    generator = _generator()
    generator(_lr()).square().sum().backward()
    assert [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize("detached", [False, True])
def test_detaching_cuts_the_gradient_between_levels(detached: bool):
    generator = _generator()
    lr = _lr().requires_grad_()
    first, second = generator.progressive(lr, 4, detach_between_levels=detached).values()
    second.sum().backward(retain_graph=True)
    assert (lr.grad is None) == detached
    first.sum().backward()
    assert lr.grad is not None  # the first level's own gradient is never cut


def test_detaching_changes_no_value():
    generator = _generator()
    pairs = zip(
        generator.progressive(_lr(), 8).values(),
        generator.progressive(_lr(), 8, detach_between_levels=True).values(),
        strict=True,
    )
    assert all(torch.equal(attached, detached) for attached, detached in pairs)


@pytest.mark.parametrize(
    ("arguments", "radius"),
    [({"depth": 2}, 4), ({"depth": 4, "structure": "residual"}, 6), ({"depth": 3, "structure": "plain"}, 5),
     ({"depth": 2, "fusion": "inception"}, 5), ({"depth": 4, "skip_every": 2}, 6)],
)  # fmt: skip
def test_the_receptive_radius_is_exact(arguments: dict[str, Any], radius: int):
    generator = _generator(**arguments)
    centre = radius + 2
    lr = _lr(2 * centre + 1, 2 * centre + 1).requires_grad_()
    generator(lr)[..., 2 * centre : 2 * centre + 2, 2 * centre : 2 * centre + 2].square().sum().backward()
    assert lr.grad is not None
    reached = lr.grad[0, 0] != 0
    assert generator.receptive_radius == radius
    inside = slice(centre - radius, centre + radius + 1)
    for axis in (0, 1):
        lines = reached.any(dim=axis)
        assert lines[inside].all()  # a pixel at the radius matters
        assert lines.sum() == 2 * radius + 1  # one beyond it does not


def test_the_default_radius_is_12():
    assert Generator().receptive_radius == 12  # entry 1, memory 10, feature_up with fusion 1


def test_skip_every_second_convolution_differs_and_has_equal_parameters():
    every, second = _generator(depth=4), _generator(depth=4, skip_every=2)
    second.load_state_dict(every.state_dict())
    assert not torch.allclose(every(_lr()), second(_lr()))
    assert second.architecture["skip_every"] == 2


def test_training_levels_are_all_levels():
    assert Generator(depth=1, channels=1).training_levels(8) == (2, 4, 8)  # Eq. 9


def test_the_architecture_spells_out_the_defaults():
    assert Generator().architecture == {
        "_target_": "prosr_lightning.networks.Generator", "structure": "memory", "depth": 10, "channels": 64,
        "skip_every": 1, "negative_slope": 0.2, "fusion": "conv",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure": "dense"}, r"`structure` must be one of plain, residual, memory, got 'dense'; choose one"),
        ({"fusion": "sum"}, r"`fusion` must be one of conv, inception, got 'sum'; choose one of them\."),
        ({"depth": 0}, r"`depth` must be a whole number >= 1, got 0; "),
        ({"channels": 2.5}, r"`channels` must be a whole number >= 1, got 2\.5; "),
        ({"skip_every": True}, r"`skip_every` must be a whole number >= 1, got True; "),
        ({"negative_slope": 1.0}, r"`negative_slope` must be in \[0, 1\), got 1\.0; the default is 0\.2\."),
        ({"negative_slope": -0.1}, r"`negative_slope` must be in \[0, 1\), got -0\.1; "),
        ({"structure": "residual", "depth": 3}, r"`depth` must be even for structure=residual.*, got 3; choose 2 or 4"),
        ({"fusion": "inception", "channels": 6}, r"`channels` must be a multiple of 4 for fusion=inception.*, got 6; "),
    ],
)  # fmt: skip
def test_arguments_outside_their_range_are_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Generator(**arguments)


def test_scales_that_are_no_powers_of_two_are_refused():
    with pytest.raises(ConfigError, match=r"`scale` must be a power of two >= 2, got 3; choose 2, 4, 8 or 16\."):
        _generator().progressive(_lr(), 3)


def test_the_image_stays_in_full_precision_under_autocast():
    """bfloat16 has 8 bits of mantissa: an image of 0.7 would be rounded by up to 0.002, half a step of 8 bits."""
    generator = Generator(depth=2, channels=4)  # its residual starts at zero
    lr = torch.rand(1, 1, 6, 5)
    plain = generator.enlarge(lr, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert generator.fusion(torch.rand(1, 4, 8, 8)).dtype == torch.bfloat16
        mixed = generator.enlarge(lr, 4)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)
