from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from prosr_lightning.errors import ConfigError
from prosr_lightning.losses import content_loss, residual_loss
from prosr_lightning.losses.adversarial import (
    KINDS,
    accuracy,
    content_reduction,
    discriminator_loss,
    full_objective,
    gan_value,
    generator_loss,
    judged,
    probability,
    r1_penalty,
)
from prosr_lightning.networks.discriminator import Discriminator

REAL, FAKE = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[-math.log(4.0)]])  # D = 3/4, 1/2 and 1/5


def test_eq_4_by_hand():
    expected = (math.log(3 / 4) + math.log(1 / 2)) / 2 + math.log(4 / 5)
    assert gan_value(REAL, FAKE).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "for_d", "for_g"),
    [
        ("minimax", -(math.log(3 / 4) + math.log(1 / 2)) / 2 - math.log(4 / 5), math.log(4 / 5)),
        ("non_saturating", -(math.log(3 / 4) + math.log(1 / 2)) / 2 - math.log(4 / 5), math.log(5)),
        (
            "least_squares",
            0.5 * (((math.log(3) - 1) ** 2 + 1) / 2 + math.log(4) ** 2),
            0.5 * (math.log(4) + 1) ** 2,
        ),
        ("hinge", 0.5, math.log(4)),  # log 3 is beyond the margin, 0 costs 1, -log 4 is beyond it
    ],
)
def test_golden_values_of_each_kind(kind, for_d, for_g):
    assert discriminator_loss(REAL, FAKE, kind=kind).item() == pytest.approx(for_d, rel=1e-6)
    assert generator_loss(REAL, FAKE, kind=kind).item() == pytest.approx(for_g, rel=1e-6)


def test_non_saturating_equals_binary_cross_entropy():
    real, fake = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 2, 2)
    cross_entropy = F.binary_cross_entropy_with_logits
    expected = cross_entropy(real, torch.ones_like(real)) + cross_entropy(fake, torch.zeros_like(fake))
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(real, fake), cross_entropy(fake, torch.ones_like(fake)))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_float64_and_finite_at_extremes(kind):
    real = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, f: discriminator_loss(r, f, kind=kind), (real, fake))
    assert torch.autograd.gradcheck(lambda r, f: generator_loss(r, f, kind=kind), (real, fake))
    sure = torch.tensor([-200.0, 200.0], dtype=torch.float16, requires_grad=True)
    loss = discriminator_loss(sure, sure, kind=kind) + generator_loss(sure, sure, kind=kind)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert sure.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_pull_apart(kind):
    """D lowers its loss by raising true and lowering generated logits; G by raising generated ones."""
    real = torch.zeros(3, requires_grad=True)
    fake = torch.full((3,), 0.2, requires_grad=True)
    discriminator_loss(real, fake, kind=kind).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    generator_loss(real.detach(), fake, kind=kind).backward()
    assert (fake.grad < 0).all()


def test_only_minimax_saturates():
    gradients = {}
    for kind in ("minimax", "non_saturating"):
        fake = torch.tensor([-10.0], requires_grad=True)
        generator_loss(fake.detach(), fake, kind=kind).backward()
        gradients[kind] = -fake.grad.item()
    assert gradients["minimax"] < 1e-4 < 0.99 < gradients["non_saturating"]


def test_the_relativistic_kind_against_numpy():
    """ESRGAN, Eq. 1 and 2, written out with sigmoids and logarithms."""
    random = np.random.default_rng(3)
    real, fake = random.normal(1, 2, (2, 1, 3, 4)), random.normal(-1, 2, (3, 1, 2, 2))
    real_belief = 1 / (1 + np.exp(-(real - fake.mean())))
    fake_belief = 1 / (1 + np.exp(-(fake - real.mean())))
    for_d = -np.log(real_belief).mean() - np.log(1 - fake_belief).mean()
    for_g = -np.log(1 - real_belief).mean() - np.log(fake_belief).mean()
    sides = torch.from_numpy(real), torch.from_numpy(fake)
    assert discriminator_loss(*sides, kind="relativistic").item() == pytest.approx(for_d, rel=1e-12)
    assert generator_loss(*sides, kind="relativistic").item() == pytest.approx(for_g, rel=1e-12)
    beliefs = [probability(side).item() for side in judged(*sides, kind="relativistic")]
    assert beliefs == pytest.approx([real_belief.mean(), fake_belief.mean()], rel=1e-6)
    shifted = [side + 5 for side in sides]
    assert discriminator_loss(*shifted, kind="relativistic").item() == pytest.approx(for_d, rel=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "relativistic"])
def test_the_other_kinds_judge_each_side_for_itself(kind):
    for side, logits in zip((REAL, FAKE), judged(REAL, FAKE, kind=kind), strict=True):
        assert torch.equal(side, logits)


def test_r1_by_hand():
    """D(r) = a . r^2 on two patches of two pixels: the gradient is 2 a r, the penalty its square by two patches."""
    residual = torch.tensor([[[[1.0, -2.0], [3.0, 0.5]]]], dtype=torch.float64, requires_grad=True)
    slope = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    logits = (slope * residual.square()).sum(dim=-1, keepdim=True)
    penalty = r1_penalty(residual, logits)
    assert penalty.item() == pytest.approx((2**2 + 8**2 + 18**2 + 4**2) / 2)
    penalty.backward()
    torch.testing.assert_close(slope.grad, 4 * slope.detach() * residual.detach()[0, 0] ** 2)  # d (2 a r)^2 / da, by 2


def test_r1_of_the_discriminator_against_differences_of_pixels():
    """Central differences of each image's summed logits, pixel by pixel, in float64."""
    torch.manual_seed(0)
    network = Discriminator(channels=2, norm="none").double()
    residual = (0.1 * torch.randn(2, 1, 17, 5, dtype=torch.float64)).requires_grad_()
    logits = network(residual)
    assert logits.shape == (2, 1, 2, 1)
    step, square = 1e-6, 0.0
    with torch.no_grad():
        for place in range(17 * 5):
            shift = torch.zeros(17 * 5, dtype=torch.float64)
            shift[place] = step
            above, below = (network(residual + sign * shift.view(17, 5)).sum(dim=(1, 2, 3)) for sign in (1, -1))
            square += ((above - below) / (2 * step)).square().sum().item()
    assert r1_penalty(residual, logits).item() == pytest.approx(square / 4, rel=1e-5)  # two images of two patches


def test_eq_7_in_both_readings():
    adversarial, content = torch.tensor(3.0), torch.tensor(5.0)
    assert full_objective(adversarial, content, objective="literal", weight=0.1).item() == pytest.approx(3.5)
    assert full_objective(adversarial, content, objective="text", weight=0.1).item() == pytest.approx(5.3)
    assert (content_reduction("literal"), content_reduction("text")) == ("sum", "mean")


@pytest.mark.parametrize(("side", "ratio"), [(100, 1.0), (50, 0.25), (200, 4.0)])
def test_the_readings_share_their_direction_at_100_pixels_and_part_elsewhere(side, ratio):
    """The weight of the content against the adversarial term, literal by text, is lambda^2 P."""
    hr = torch.rand(1, 1, side, side)
    shares = {}
    for objective in ("literal", "text"):
        adversarial = torch.zeros((), requires_grad=True)
        sr = torch.zeros_like(hr).requires_grad_()
        content = content_loss(sr, hr, reduction=content_reduction(objective))
        full_objective(adversarial, content, objective=objective, weight=1e-2).backward()
        shares[objective] = sr.grad.abs().max().item() / adversarial.grad.item()
    assert shares["literal"] / shares["text"] == pytest.approx(ratio, rel=1e-4)


def test_eq_5_equals_eq_1_where_r_is_y_minus_x():
    sr, hr, lr_up = torch.rand(3, 2, 1, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(residual_loss(sr, hr - lr_up, lr_up), content_loss(sr, hr), rtol=0, atol=1e-15)


def test_probability_and_accuracy_by_hand():
    logits = torch.tensor([math.log(3.0), -math.log(3.0), 0.0])
    assert probability(logits).item() == pytest.approx(0.5)
    assert probability(torch.tensor([2.0, 0.25]), kind="least_squares").item() == pytest.approx(0.625)
    real, fake = torch.tensor([1.0, 0.3, -1.0, 2.0]), torch.tensor([-1.0, 0.3])
    assert accuracy(real, fake).item() == pytest.approx((3 / 4 + 1 / 2) / 2)
    relative = judged(real, fake, kind="relativistic")  # means 0.575 and -0.35: one of four, then none of two, is wrong
    assert accuracy(*relative, kind="relativistic").item() == pytest.approx((3 / 4 + 2 / 2) / 2)
    assert accuracy(real, fake, kind="least_squares").item() == pytest.approx((2 / 4 + 1) / 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: discriminator_loss(REAL, FAKE, kind="wasserstein"),
        lambda: generator_loss(REAL, FAKE, kind="wasserstein"),
        lambda: probability(FAKE, kind="wasserstein"),
        lambda: accuracy(REAL, FAKE, kind="wasserstein"),
    ],
)
def test_refuses_an_unknown_kind(call):
    with pytest.raises(ConfigError, match="`adversarial` must be one of non_saturating, .*got 'wasserstein'"):
        call()


def test_refuses_an_unknown_objective():
    with pytest.raises(ConfigError, match="`objective` must be one of literal, text, got 'both'"):
        full_objective(torch.ones(()), torch.ones(()), objective="both")
    with pytest.raises(ConfigError, match="`objective` must be one of literal, text, got 'both'"):
        content_reduction("both")
