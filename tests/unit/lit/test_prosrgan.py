from __future__ import annotations

import csv
import re
from functools import partial

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Callback
from lightning.pytorch.plugins.precision import MixedPrecision

from prosr_lightning.config import conf_dir
from prosr_lightning.errors import CheckpointError, ConfigError, TrainingError
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.lit.criterion import DetailCriterion
from prosr_lightning.lit.prosrgan import LitProSRGAN
from prosr_lightning.lit.residuals import residual_levels
from prosr_lightning.lit.schedules import CosineToEnd
from prosr_lightning.lit.watch import BalanceWatch
from prosr_lightning.losses.adversarial import discriminator_loss
from prosr_lightning.losses.perceptual import PerceptualLoss
from prosr_lightning.networks import Generator
from prosr_lightning.networks.discriminator import Discriminator
from prosr_lightning.networks.weights import load_network


@pytest.fixture
def make_gan():
    def make(**changes) -> LitProSRGAN:
        torch.manual_seed(0)
        settings = {
            "generator": Generator(depth=1, channels=4),
            "discriminator": Discriminator(channels=2),
            "optimizer": partial(torch.optim.Adam, lr=1e-3),
            "levels": [2, 4],
            "ema_decay": 0.9,
        }
        return LitProSRGAN(**(settings | changes))

    return make


def copy_of(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def gradients_of(network):
    return [None if one.grad is None else one.grad.clone() for one in network.parameters()]


def equal(first, second):
    pairs = zip(first.values(), second.values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


class Steps(Callback):
    """Record both networks before and after each optimizer step: G's is optimizer 0, D's is 1."""

    def __init__(self):
        self.order, self.seen = [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.order.append("GD"[trainer.optimizers.index(optimizer)])
        networks = pl_module.generator, pl_module.discriminator
        self.seen.append([(copy_of(one), gradients_of(one)) for one in networks])

    def on_train_batch_end(self, trainer, pl_module, *args):
        networks = pl_module.generator, pl_module.discriminator
        self.seen.append([(copy_of(one), gradients_of(one)) for one in networks])


def test_a_d_step_leaves_g_and_a_g_step_leaves_d_bit_identical(make_gan, make_data, make_trainer):
    steps = Steps()
    make_trainer(max_epochs=1, callbacks=[steps], limit_val_batches=0).fit(make_gan(), datamodule=make_data())

    assert steps.order == ["D", "G"] * 4
    for batch in range(4):
        before_d, before_g, end = steps.seen[3 * batch : 3 * batch + 3]
        assert equal(before_d[0][0], before_g[0][0])  # D's update leaves G's parameters
        assert not equal(before_g[0][0], end[0][0])  # G's own moves them
        learned = {key for key in end[1][0] if key.endswith(("weight", "bias"))}
        assert any(not torch.equal(before_d[1][0][key], before_g[1][0][key]) for key in learned)
        assert equal(before_g[1][0], end[1][0])  # G's update leaves D's parameters and batch-norm statistics
        for one, other in zip(before_d[1][1], end[1][1], strict=True):
            assert torch.equal(one, other)  # and the gradients that D's own loss left


def test_one_generator_forward_serves_both_updates(make_gan, make_data, make_trainer):
    module, calls = make_gan(), []
    module.generator.register_forward_hook(lambda *args: calls.append(1))
    make_trainer(limit_val_batches=0, limit_train_batches=3).fit(module, datamodule=make_data())
    assert len(calls) == 3 * 2  # two levels a batch


def test_d_receives_residuals_and_never_images(make_gan, make_data, make_trainer):
    """y - x' and G(x) - x' of each level, the same for both updates."""
    module, seen = make_gan(), []
    module.discriminator.register_forward_pre_hook(lambda network, inputs: seen.append(inputs[0].detach().clone()))
    batches = []
    original = module.training_step
    module.training_step = lambda batch, batch_idx: (batches.append(batch), original(batch, batch_idx))[1]
    start = copy_of(module.generator)
    make_trainer(limit_val_batches=0, limit_train_batches=1).fit(module, datamodule=make_data())

    assert len(seen) == 4  # two levels, for D and for G
    (batch,) = batches
    module.generator.load_state_dict(start)
    with torch.no_grad():
        sub = module.generator(batch["lr"])
        sr = module.generator(sub)
    up = bicubic_upscale(sub, 2)
    torch.testing.assert_close(seen[1], torch.cat([batch["hr"][4] - up, sr - up]), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen[3], seen[1], atol=0, rtol=0)
    up = bicubic_upscale(batch["lr"], 2)
    torch.testing.assert_close(seen[0], torch.cat([batch["hr"][2] - up, sub - up]), atol=1e-6, rtol=0)


def test_the_residual_base_lr_enlarges_the_original():
    lr = torch.rand(1, 1, 6, 6)
    images = {factor: torch.rand(1, 1, 6 * factor, 6 * factor, requires_grad=True) for factor in (2, 4)}
    hr = {2: torch.rand(1, 1, 12, 12), 4: torch.rand(1, 1, 24, 24)}
    own = residual_levels(lr, images, hr, base="level_input")
    original = residual_levels(lr, images, hr, base="lr")
    torch.testing.assert_close(original[4].lr_up, bicubic_upscale(lr, 4))
    torch.testing.assert_close(own[4].lr_up, bicubic_upscale(images[2], 2).detach())
    torch.testing.assert_close(own[2].lr_up, original[2].lr_up)
    assert not own[4].lr_up.requires_grad
    assert own[4].generated.requires_grad
    torch.testing.assert_close(own[4].residual + own[4].lr_up, hr[4])
    with pytest.raises(ConfigError, match=r"`levels` must be those of the network, \[2, 4\], got \[2, 4, 8\]"):
        residual_levels(lr, images, hr | {8: torch.rand(1, 1, 48, 48)})


@pytest.mark.parametrize("objective", ["literal", "text"])
def test_g_minimises_eq_7_summed_over_the_levels(make_gan, make_data, make_trainer, objective):
    module = make_gan(objective=objective, weight=0.03)
    trainer = make_trainer(limit_val_batches=0, limit_train_batches=1)
    trainer.fit(module, datamodule=make_data())
    logged = {name: float(value) for name, value in trainer.logged_metrics.items()}
    expected = 0.0
    for level in (2, 4):
        adversarial, content = (logged[f"train/level_{level}/{term}"] for term in ("adversarial", "content"))
        expected += adversarial + 0.03 * content if objective == "literal" else content + 0.03 * adversarial
    assert logged["train/g_loss"] == pytest.approx(expected, rel=1e-5)
    ratio = logged["train/level_4/content"] / logged["train/level_2/content"]
    assert (ratio > 2) is (objective == "literal")  # a sum over 16x16 against one over 8x8 pixels


def test_a_perceptual_loss_is_added_at_each_level_and_is_not_part_of_the_module(make_gan, make_data, make_trainer):
    seen = []

    class Distance(torch.nn.Linear):
        def forward(self, sr, hr):
            seen.append((sr, hr))
            return super().forward((sr - hr).square().mean().view(1, 1))

    module = make_gan(objective="literal", weight=0.03, perceptual=PerceptualLoss(Distance(1, 1), weight=5.0))
    assert module.state_dict().keys() == make_gan().state_dict().keys()
    trainer = make_trainer(limit_val_batches=0, limit_train_batches=1)
    trainer.fit(module, datamodule=make_data())
    logged = {name: float(value) for name, value in trainer.logged_metrics.items()}
    expected = 0.0
    for (sr, hr), level in zip(tuple(seen), (2, 4), strict=True):
        assert sr.shape == hr.shape == (2, 3, 4 * level, 4 * level)
        added = logged[f"train/level_{level}/perceptual"]
        assert added == pytest.approx(float(5 * module.perceptual.distance(sr, hr).detach()), rel=1e-5)
        expected += logged[f"train/level_{level}/adversarial"] + 0.03 * logged[f"train/level_{level}/content"] + added
    assert logged["train/g_loss"] == pytest.approx(expected, rel=1e-5)


def test_logs_what_its_docstring_lists(make_gan, make_data, make_trainer, tmp_path):
    trainer = make_trainer()
    module = make_gan(
        perceptual=lambda sr, hr: (sr - hr).square().mean(),
        discriminator=Discriminator(channels=2, norm="none"),
        r1_weight=0.01,
    )
    trainer.fit(module, datamodule=make_data())

    trainer.logger.save()
    with open(tmp_path / "csv" / "version_0" / "metrics.csv") as file:
        header = next(csv.reader(file))
    logged = {re.sub(r"level_\d+", "level_<factor>", name) for name in header if "/" in name}
    logged = {re.sub(r"val/.+/x\d+/", "val/<set>/x<scale>/", name) for name in logged}
    pattern = r"`((?:train|val)/[^` ]+)`"
    listed = set(re.findall(pattern, LitProSRGAN.__doc__))
    assert logged == listed
    assert set(re.findall(pattern, DetailCriterion.__doc__)) <= listed


def test_d_learns_to_tell_the_residuals_apart(make_gan, make_data, make_trainer):
    def accuracy(**changes):
        module = make_gan(
            optimizer=partial(torch.optim.SGD, lr=0.0),
            discriminator_optimizer=partial(torch.optim.Adam, lr=1e-3),
            discriminator=Discriminator(channels=8),
            **changes,
        )
        trainer = make_trainer(limit_val_batches=0)
        trainer.fit(module, datamodule=make_data(patches_per_epoch=320, batch_size=8, crop=32))
        return float(trainer.logged_metrics["train/d_accuracy"])

    assert accuracy() > 0.9


@pytest.mark.parametrize("kind", ["minimax", "least_squares", "hinge", "relativistic"])
def test_every_kind_trains_with_finite_losses(make_gan, make_data, make_trainer, kind):
    module = make_gan(adversarial=kind, discriminator=Discriminator(channels=2, norm="spectral"))
    trainer = make_trainer(limit_val_batches=0)
    trainer.fit(module, datamodule=make_data())
    assert module.steps_done == 4
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_d_minimises_the_penalty_in_every_nth_update_and_g_never_sees_it(make_gan, make_data, make_trainer):
    """The gradient of D's weights is that of Eq. 4 and of gamma / 2 R1 of both levels, `r1_every` times."""
    module = make_gan(discriminator=Discriminator(channels=2, norm="none"), r1_weight=0.3, r1_every=3, eps=1e-6)
    expected, seen = [], []
    original = module._discriminator_step

    def step(levels):
        weights = list(module.discriminator.parameters())
        total = torch.zeros(())
        for level in levels.values():
            real, fake = level.residual.clone().requires_grad_(), level.generated.detach()
            logits = module.discriminator(real)
            total = total + discriminator_loss(logits, module.discriminator(fake))
            if len(expected) % 3 == 0:
                (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
                total = total + 3 * 0.3 / 2 * slope.square().sum(dim=(1, 2, 3)).mean() / logits[0].numel()
        expected.append(torch.autograd.grad(total, weights, allow_unused=True))
        loss = original(levels)
        assert not any(level.residual.requires_grad for level in levels.values())
        return loss

    class Gradients(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            if trainer.optimizers.index(optimizer) == 1:
                seen.append([one.grad.clone() for one in pl_module.discriminator.parameters()])

    module._discriminator_step = step
    make_trainer(callbacks=[Gradients()], limit_val_batches=0).fit(module, datamodule=make_data())
    assert len(seen) == len(expected) == 4
    for by_hand, own in zip(expected, seen, strict=True):
        for left, right in zip(by_hand, own, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"r1_weight": -1.0}, "`r1_weight` must be a number of at least 0 and `r1_every` at least 1, got -1.0 and 16"),
        ({"r1_weight": float("inf")}, "`r1_weight` must be a number of at least 0 .*, got inf and 16"),
        ({"r1_every": 0}, "`r1_weight` must be a number of at least 0 and `r1_every` at least 1, got 0.0 and 0"),
        ({"r1_weight": 0.01}, "`r1_weight` must be 0 with a discriminator of norm=batch, .*norm=spectral or none"),
    ],
)
def test_refuses_a_penalty_that_means_nothing(make_gan, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_gan(**settings)


@pytest.mark.parametrize(("split", "penalised"), [(1, False), (5, False), (5, True)])
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(
    make_gan, make_data, make_trainer, tmp_path, split, penalised
):
    """Stop after 1 or 5 of 8 batches, amid an epoch: both networks, both optimizers, schedules and the average."""

    def run(batches, ckpt_path=None):
        torch.manual_seed(5)
        settings = {"scheduler": partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)}
        if penalised:
            settings |= {"discriminator": Discriminator(channels=2, norm="none"), "r1_weight": 0.01, "r1_every": 3}
        module = make_gan(**settings)
        trainer = make_trainer(max_epochs=-1, max_steps=2 * batches)
        trainer.fit(module, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True)
        return trainer, module

    one, whole = run(8)
    first, _ = run(split)
    first.save_checkpoint(tmp_path / "part.ckpt")
    two, resumed = run(8, tmp_path / "part.ckpt")

    assert resumed.steps_done == whole.steps_done == 8
    assert {"generator.entry.weight", "ema_generator.module.entry.weight", "discriminator.to_logit.weight"} <= set(
        whole.state_dict()
    )
    assert equal(whole.state_dict(), resumed.state_dict())
    for expected, found in zip(one.optimizers, two.optimizers, strict=True):
        assert expected.param_groups[0]["lr"] == found.param_groups[0]["lr"] == 1e-3 * 0.5**4
        for left, right in zip(
            expected.state_dict()["state"].values(), found.state_dict()["state"].values(), strict=True
        ):
            assert equal(left, right)


def test_schedules_of_both_optimizers_run_to_the_end(make_gan, make_data, make_trainer):
    scheduler = partial(CosineToEnd, final_fraction=0.1)
    trainer = make_trainer(max_epochs=2, limit_val_batches=0)
    trainer.fit(
        make_gan(scheduler=scheduler, discriminator_optimizer=partial(torch.optim.Adam, lr=5e-3)),
        datamodule=make_data(),
    )
    rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
    assert rates == pytest.approx([1e-4, 5e-4])


def test_a_setting_of_the_optimizer_on_the_command_line_reaches_both_networks():
    words = ["experiment=prosrgan", "init_from=null", "paths.output_dir=out", "+optimizer.betas=[0.5,0.9]"]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
        cfg = compose("train", overrides=words)
    optimizers, _ = instantiate(cfg.model, _convert_="all").configure_optimizers()
    assert [list(one.param_groups[0]["betas"]) for one in optimizers] == [[0.5, 0.9]] * 2


def test_accumulation_updates_once_a_window(make_gan, make_data, make_trainer):
    """3 of 4 batches, then the 1 that is left of the epoch."""
    steps = Steps()
    module = make_gan(accumulate_grad_batches=3)
    make_trainer(callbacks=[steps], limit_val_batches=0).fit(module, datamodule=make_data())
    assert steps.order == ["D", "G"] * 2
    assert module.steps_done == 2


@pytest.mark.parametrize(("precision", "fused"), [("32-true", False), ("bf16-mixed", True)])
def test_gradients_are_clipped_for_each_network(make_gan, make_data, make_trainer, precision, fused):
    norms = []

    class Norms(Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            for network in (pl_module.generator, pl_module.discriminator):
                gradient = torch.cat([one.grad.flatten() for one in network.parameters()])
                norms.append(torch.linalg.vector_norm(gradient).item())

    trainer = make_trainer(callbacks=[Norms()], limit_val_batches=0, precision=precision)
    optimizer = partial(torch.optim.Adam, lr=1e-3, fused=fused)
    data = make_data(crop=32)  # PyTorch's bfloat16 gradient of a strided convolution of 1x1 features is wrong on CPUs
    trainer.fit(make_gan(gradient_clip_val=1e-3, optimizer=optimizer), datamodule=data)
    assert norms == pytest.approx([1e-3] * 8, rel=1e-2)


def test_clipping_scaled_gradients_is_refused(make_gan, make_data, make_trainer):
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    trainer = make_trainer(plugins=[plugin], limit_val_batches=0)
    module = make_gan(gradient_clip_val=0.1, optimizer=partial(torch.optim.Adam, lr=1e-3, fused=True))
    with pytest.raises(ConfigError, match=r"`model\.gradient_clip_val` must be null with a fused optimizer in float16"):
        trainer.fit(module, datamodule=make_data())


def test_one_optimizer_serves_both_networks_unless_d_has_its_own(make_gan, make_data, make_trainer):
    settings = {"optimizer": partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))}
    for own, expected in ((None, (0.5, 0.9)), (partial(torch.optim.Adam, betas=(0.0, 0.99)), (0.0, 0.99))):
        trainer = make_trainer(limit_val_batches=0, limit_train_batches=1)
        trainer.fit(make_gan(**settings, discriminator_optimizer=own), datamodule=make_data())
        generator, discriminator = trainer.optimizers
        assert generator.param_groups[0]["betas"] == (0.5, 0.9)
        assert discriminator.param_groups[0]["betas"] == expected


def test_pretraining_teaches_the_generator_alone(make_gan, make_data, make_trainer):
    module = make_gan(pretrain_epochs=1)
    generator, discriminator = copy_of(module.generator), copy_of(module.discriminator)
    trainer = make_trainer(limit_val_batches=0)
    trainer.fit(module, datamodule=make_data())
    assert equal(discriminator, module.discriminator.state_dict())
    assert not equal(generator, module.generator.state_dict())
    contents = [float(trainer.logged_metrics[f"train/level_{level}/content"]) for level in (2, 4)]
    assert float(trainer.logged_metrics["train/g_loss"]) == pytest.approx(sum(contents), rel=1e-6)
    assert "train/d_loss" not in trainer.logged_metrics


@pytest.mark.parametrize("loss", ["discriminator_loss", "generator_loss"])
def test_a_loss_that_is_not_finite_stops_with_advice(make_gan, make_data, make_trainer, monkeypatch, loss):
    def broken(*args, **kwargs):
        return args[-1].mean() * float("nan")

    monkeypatch.setattr(f"prosr_lightning.lit.prosrgan.{loss}", broken)
    with pytest.raises(TrainingError, match=r"training batch 0 .*model\.gradient_clip_val=0\.1"):
        make_trainer().fit(make_gan(), datamodule=make_data())


def test_a_discriminator_that_wins_is_reported(make_gan, make_data, make_trainer, caplog):
    watch = BalanceWatch(wins_above=0.01, loses_below=0.0, patience=2, check_every=1)
    make_trainer(limit_val_batches=0, max_epochs=2).fit(make_gan(watch=watch), datamodule=make_data())
    assert [record.name for record in caplog.records].count("prosr_lightning.lit.watch") == 1


def test_the_checkpoint_names_both_architectures_and_serves_as_weights(make_gan, make_data, make_trainer, tmp_path):
    trainer, module = make_trainer(), make_gan()
    trainer.fit(module, datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    stored = torch.load(tmp_path / "run.ckpt", weights_only=True)["prosr"]
    assert stored["architecture"] == module.generator.architecture
    assert stored["discriminator"] == module.discriminator.architecture
    assert equal(load_network(tmp_path / "run.ckpt").network.state_dict(), module.network.state_dict())


def test_goes_on_from_a_checkpoint_that_names_its_networks_as_earlier_versions_did(
    make_gan, make_data, make_trainer, tmp_path
):
    trainer, module = make_trainer(), make_gan()
    trainer.fit(module, datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "now.ckpt")
    content = torch.load(tmp_path / "now.ckpt", weights_only=True)
    content["prosr"]["architecture"] = {"name": "Generator", **module.generator.arguments}
    content["prosr"]["discriminator"] = {"name": "Discriminator", **module.discriminator.arguments}
    torch.save(content, tmp_path / "earlier.ckpt")
    resumed = make_gan()
    make_trainer(max_epochs=2).fit(
        resumed, datamodule=make_data(), ckpt_path=tmp_path / "earlier.ckpt", weights_only=True
    )
    assert resumed.steps_done == 2 * module.steps_done
    assert equal(load_network(tmp_path / "earlier.ckpt").network.state_dict(), module.network.state_dict())


def test_refuses_checkpoints_of_other_runs(make_gan, make_module, make_data, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(make_module(generator=Generator(depth=1, channels=4)), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "prosrn.ckpt")
    with pytest.raises(CheckpointError, match="start from a ProSRN with init_from instead"):
        make_trainer().fit(make_gan(), datamodule=make_data(), ckpt_path=tmp_path / "prosrn.ckpt", weights_only=True)

    trainer = make_trainer()
    trainer.fit(make_gan(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "gan.ckpt")
    other = make_gan(discriminator=Discriminator(channels=2, norm="none"))
    with pytest.raises(CheckpointError, match="must hold the discriminator of this run.*'norm': 'none'"):
        make_trainer().fit(other, datamodule=make_data(), ckpt_path=tmp_path / "gan.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adversarial": "wgan"}, "`adversarial` must be one of"),
        ({"objective": "both"}, "`objective` must be one of literal, text, got 'both'"),
        ({"residual_base": "hr"}, "`residual_base` must be one of level_input, lr, got 'hr'"),
        ({"weight": -1.0}, "`weight` must be >= 0, got -1.0"),
        ({"gradient_clip_val": 0.0}, "`gradient_clip_val` must be positive, got 0.0"),
        ({"discriminator_optimizer": {"lr": 1e-5}}, "`discriminator_optimizer` must be null, .* or a whole node"),
        ({"accumulate_grad_batches": 0}, "`accumulate_grad_batches` must be at least 1"),
        ({"pretrain_epochs": -1}, "`pretrain_epochs` at least 0"),
    ],
)
def test_refuses_arguments_outside_their_range(make_gan, changes, message):
    with pytest.raises(ConfigError, match=message):
        make_gan(**changes)
