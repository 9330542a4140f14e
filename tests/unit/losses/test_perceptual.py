import sys
import types

import pytest
import torch
from torch import nn

from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.losses import perceptual
from prosr_lightning.losses.perceptual import FeatureError, PerceptualLoss, dists, lpips, vgg54


class Recorded(nn.Module):
    """A distance that keeps what it is given."""

    def forward(self, sr, hr):
        self.seen = sr, hr
        return (sr - hr).abs().flatten(1).mean(dim=1)


def test_luminance_is_shown_as_grey_pictures_from_black_to_white():
    distance = Recorded()
    sr = torch.tensor([16.0, 235.0]).view(2, 1, 1, 1) / 255
    loss = PerceptualLoss(distance, weight=3.0)(sr, torch.full((2, 1, 1, 1), 16 / 255))
    assert distance.seen[0].flatten().tolist() == pytest.approx([0, 0, 0, 1, 1, 1], abs=1e-6)
    assert loss.item() == pytest.approx(3 * (0 + 1) / 2)


def test_half_precision_is_widened():
    distance = Recorded()
    PerceptualLoss(distance)(*torch.rand(2, 1, 1, 4, 4).bfloat16())
    assert distance.seen[0].dtype == torch.float32


def test_features_are_compared_as_srgan_does():
    features = nn.Conv2d(3, 1, 1, bias=False)
    nn.init.constant_(features.weight, 1.0)
    sr, hr = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    sr[0, 0] = 0.229 * 5  # five deviations of red, summed by the only feature
    assert FeatureError(features)(sr, hr).tolist() == pytest.approx([(5 / 12.75) ** 2], rel=1e-5)
    assert FeatureError(features, scale=1.0)(hr, hr).item() == 0


def test_the_gradient_reaches_the_result_and_not_the_classifier():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Tanh()).double()
    loss = PerceptualLoss(FeatureError(features).double(), weight=100.0)
    sr, hr = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True), torch.rand(1, 1, 4, 4).double()
    assert torch.autograd.gradcheck(lambda image: loss(image, hr), sr)
    loss(sr, hr).backward()
    assert sr.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in features.parameters())
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match="`weight` must be positive, got 0"):
        PerceptualLoss(Recorded(), weight=0)
    with pytest.raises(ConfigError, match=r"must have one shape, got \(1, 1, 2, 2\) and \(1, 1, 2, 3\)"):
        PerceptualLoss(Recorded())(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 3))


@pytest.mark.parametrize("make", [vgg54, lpips, dists])
def test_without_torchvision_the_extra_is_named(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'prosr-lightning\[perceptual\]'"):
        make()


def test_vgg54_ends_with_the_last_activation_of_the_fifth_block(monkeypatch):
    """A stand-in with the layers of torchvision's VGG19, one feature wide; LPIPS and DISTS get theirs likewise."""
    layers = []
    for convolutions in (2, 2, 4, 4, 4):
        for _ in range(convolutions):
            layers += [nn.Conv2d(3 if not layers else 1, 1, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    models = types.ModuleType("torchvision.models")
    models.VGG19_Weights = types.SimpleNamespace(DEFAULT="default")
    models.vgg19 = lambda *, weights: types.SimpleNamespace(features=nn.Sequential(*layers), weights=weights)
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    distance = vgg54(weight=2.0).distance
    assert distance.features[-1] is layers[-2]  # what only pools again is left out
    assert sum(isinstance(layer, nn.Conv2d) for layer in distance.features) == 16
    assert distance.scale == pytest.approx(1 / 12.75)


def test_lpips_and_dists_are_asked_for_pictures_in_the_unit_range_and_a_gradient():
    asked = []

    class Network(nn.Module):
        def forward(self, sr, hr, **how):
            asked.append(how)
            return (sr - hr).square().mean()

    for adapter in (perceptual._InUnitRange, perceptual._WithGradient):
        sr = torch.rand(1, 1, 4, 4, requires_grad=True)
        PerceptualLoss(adapter(Network()))(sr, torch.rand(1, 1, 4, 4)).backward()
        assert sr.grad.abs().sum() > 0
    assert asked == [{"normalize": True}, {"require_grad": True}]
