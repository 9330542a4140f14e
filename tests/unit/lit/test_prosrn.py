from __future__ import annotations

import csv
import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from skimage.metrics import structural_similarity

from prosr_lightning.data.photographs import FolderDataModule
from prosr_lightning.errors import CheckpointError, ConfigError, TrainingError
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.resize import bicubic_downscale
from prosr_lightning.lit.prosrn import LitProSRN
from prosr_lightning.losses import squared_error
from prosr_lightning.metrics import psnr
from prosr_lightning.networks import DRCN, Generator, SRResNet


def test_the_loss_at_8x_is_the_sum_of_three_levels(make_module, monkeypatch):
    module = make_module(levels=[2, 4, 8], generator=Generator(depth=1, channels=2))
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    lr = torch.rand(2, 1, 4, 4)
    targets = {level: torch.rand(2, 1, 4 * level, 4 * level) for level in (2, 4, 8)}

    loss = module.training_step({"lr": lr, "hr": targets}, 0)

    image, expected = lr, 0.0
    for level in (2, 4, 8):
        image = module.generator(image)
        expected += ((image - targets[level]) ** 2 + 1e-12).sqrt().mean()
    torch.testing.assert_close(loss, expected)


def test_only_the_levels_of_the_batch_are_supervised(make_module, monkeypatch):
    module = make_module(levels=[2, 4])
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    lr, hr = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 16, 16)
    expected = (module.generator(module.generator(lr)) - hr).abs().mean()
    torch.testing.assert_close(module.training_step({"lr": lr, "hr": {4: hr}}, 0), expected, atol=1e-6, rtol=0)
    hr = torch.rand(1, 1, 8, 8)
    expected = (module.generator(lr) - hr).abs().mean()
    torch.testing.assert_close(module.training_step({"lr": lr, "hr": {2: hr}}, 0), expected, atol=1e-6, rtol=0)


def test_detaching_between_levels_changes_the_gradient(make_module, monkeypatch):
    batch = {"lr": torch.rand(1, 1, 6, 6), "hr": {2: torch.rand(1, 1, 12, 12), 4: torch.rand(1, 1, 24, 24)}}
    gradients = []
    for detach in (False, True):
        module = make_module(detach_between_levels=detach)
        monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
        module.training_step(batch, 0).backward()
        gradients.append(module.generator.image_up.weight.grad.clone())
    assert not torch.allclose(*gradients)


def test_logs_what_its_docstring_lists(make_module, make_data, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(make_module(), datamodule=make_data())

    trainer.logger.save()
    with open(tmp_path / "csv" / "version_0" / "metrics.csv") as file:
        header = next(csv.reader(file))
    logged = {re.sub(r"level_\d+", "level_<factor>", name) for name in header if "/" in name}
    logged = {re.sub(r"val/.+/x\d+/", "val/<set>/x<scale>/", name) for name in logged}
    assert logged == set(re.findall(r"`((?:train|val)/[^`]+)`", LitProSRN.__doc__))


def test_validation_is_the_mean_of_per_image_psnr_at_each_scale(make_module, make_data, make_trainer):
    data = make_data(val_limit=None)
    module = make_module(val_scales=[2, 4])
    trainer = make_trainer(limit_train_batches=0)
    trainer.validate(module, datamodule=data, verbose=False)

    images = [data.val_dataloader().dataset[(index, True)]["hr"] for index in range(3)]
    for scale in (2, 4):
        scores = []
        for image in images:
            hr = modcrop(image, scale)
            with torch.no_grad():
                sr = module.network.enlarge(bicubic_downscale(hr, scale), scale)
            scores.append(psnr(sr, hr, border=scale).item())
        logged = trainer.callback_metrics[f"val/photographs/x{scale}/psnr"].item()
        assert logged == pytest.approx(sum(scores) / 3, abs=1e-4)
    both = [trainer.callback_metrics[f"val/photographs/x{scale}/psnr"].item() for scale in (2, 4)]
    assert trainer.callback_metrics["val/psnr"].item() == pytest.approx(sum(both) / 2, abs=1e-4)


@pytest.mark.parametrize(("sizes", "held"), [([(40, 40), (10, 30), (8, 10)], 1), ([(8, 10)], 0)])
def test_so_is_ssim_of_the_images_that_hold_a_window(make_module, make_data, make_trainer, photographs, sizes, held):
    """Two pixels are left out on each side at 2x, and the window has seven."""
    folder = photographs(*sizes, folder="sizes")[0].parent
    module, trainer = make_module(val_scales=[2]), make_trainer(limit_train_batches=0)
    data = make_data(val_limit=None, val_sets=[str(folder)])
    trainer.validate(module, datamodule=data, verbose=False)
    dataset, scores = data.val_dataloader().dataset, []
    for index in range(held):
        hr = modcrop(dataset[(index, True)]["hr"], 2)
        with torch.no_grad():
            sr = module.network.enlarge(bicubic_downscale(hr, 2), 2)
        ours, truth = (plane[0, 0, 2:-2, 2:-2].double().numpy() for plane in (sr, hr))
        scores.append(structural_similarity(ours, truth, data_range=ours.max() - truth.min()))
    assert "val/psnr" in trainer.callback_metrics
    logged = {key: value.item() for key, value in trainer.callback_metrics.items() if key.endswith("ssim")}
    expected = sum(scores) / held if held else None
    assert logged == ({} if not held else pytest.approx(dict.fromkeys(("val/sizes/x2/ssim", "val/ssim"), expected)))


def test_an_image_that_does_not_count_changes_nothing(make_module, make_data, make_trainer):
    class Doubled(FolderDataModule):
        def val_dataloader(self):
            dataset = super().val_dataloader().dataset
            keys = [(0, True), (0, False), (1, False)]
            return torch.utils.data.DataLoader(dataset, batch_size=None, sampler=keys)

    once, trainer = make_data(val_limit=None), make_trainer()
    doubled = Doubled(**{name: getattr(once, name) for name in once.__dataclass_fields__})
    module = make_module()
    trainer.validate(module, datamodule=doubled, verbose=False)
    padded = trainer.callback_metrics["val/psnr"].item()
    trainer.validate(make_module(), datamodule=make_data(val_limit=1), verbose=False)
    assert padded == trainer.callback_metrics["val/psnr"].item()


def test_the_average_follows_its_recursion_and_is_what_is_validated(make_module, make_data, make_trainer):
    module = make_module(ema_decay=0.5)
    expected = {key: value.clone() for key, value in module.generator.state_dict().items()}
    steps = []
    original = module.finish_step

    def finish_step():
        original()
        keep = min(0.5, (1 + len(steps)) / (10 + len(steps)))
        for key, value in module.generator.state_dict().items():
            expected[key] = keep * expected[key] + (1 - keep) * value
        steps.append({key: value.clone() for key, value in module.generator.state_dict().items()})

    module.finish_step = finish_step
    make_trainer(max_epochs=2).fit(module, datamodule=make_data())

    assert len(steps) == 8
    assert not torch.equal(steps[0]["entry.weight"], steps[-1]["entry.weight"])
    averaged = module.network.state_dict()
    assert module.network is not module.generator
    for key, value in expected.items():
        torch.testing.assert_close(averaged[key], value, atol=1e-6, rtol=1e-5)


def test_the_average_has_the_statistics_of_batch_norm(make_module, make_data, make_trainer):
    """They are buffers, not parameters; at their start of 0 and 1 an SRResNet of 21.8 dB scores 11.2 dB."""
    module = make_module(generator=SRResNet(scale=2, blocks=1, channels=4), levels=[2], ema_decay=0.999)
    make_trainer(limit_val_batches=0).fit(module, datamodule=make_data(levels=[2]))
    live, averaged = (dict(one.named_buffers()) for one in (module.generator, module.network))
    assert averaged.keys() == live.keys()
    assert int(averaged["after_blocks.1.num_batches_tracked"]) == 4
    for name, value in live.items():
        assert torch.equal(averaged[name], value), name
    assert averaged["after_blocks.1.running_var"].data_ptr() != live["after_blocks.1.running_var"].data_ptr()


def test_without_average_the_generator_itself_is_validated(make_module):
    module = make_module(ema_decay=0)
    assert module.network is module.generator
    assert not any(key.startswith("ema") for key in module.state_dict())


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(make_module, make_data, make_trainer):
    class Poisoned(LitProSRN):
        def training_step(self, batch, batch_idx):
            if self.steps_done == 5:
                batch["lr"] = batch["lr"] * float("nan")
            return super().training_step(batch, batch_idx)

    module = Poisoned(generator=Generator(depth=1, channels=2), optimizer=torch.optim.Adam, levels=[2, 4])
    with pytest.raises(TrainingError, match=r"training batch 5 \(epoch 1, batch 1\).*what was saved before is kept"):
        make_trainer(max_epochs=3).fit(module, datamodule=make_data())


def test_no_checkpoint_is_written_once_a_loss_was_not_finite(make_module, make_data, make_trainer, tmp_path):
    trainer = make_trainer()
    module = make_module(check_finite_every=1000)
    trainer.fit(module, datamodule=make_data())
    module.note_loss(torch.tensor(float("inf")))
    with pytest.raises(TrainingError, match="not|must be finite"):
        trainer.save_checkpoint(tmp_path / "bad.ckpt")
    assert not (tmp_path / "bad.ckpt").exists()


def test_refuses_a_checkpoint_of_another_architecture(make_module, make_data, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(make_module(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "small.ckpt")

    other = make_module(generator=Generator(depth=3, channels=4))
    with pytest.raises(CheckpointError, match=r"depth=3.*got Generator\(.*depth=2"):
        make_trainer().fit(other, datamodule=make_data(), ckpt_path=tmp_path / "small.ckpt", weights_only=True)


def test_a_class_that_has_moved_to_another_module_goes_on(make_module, make_data, make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.fit(make_module(), datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "moved.ckpt")
    stored = torch.load(tmp_path / "moved.ckpt", weights_only=True)
    stored["prosr"]["architecture"]["_target_"] = "__main__.Generator"  # of a notebook, say
    module = make_module()
    module.on_load_checkpoint(stored)
    assert module.steps_done == stored["prosr"]["steps_done"] > 0
    with pytest.raises(CheckpointError, match="must hold the architecture of this run"):
        make_module(generator=Generator(depth=3, channels=4)).on_load_checkpoint(stored)


class SaveAfter(Callback):
    """Save a checkpoint after a training batch, as KeepLast does."""

    def __init__(self, batches, path):
        self.batches, self.path = batches, path

    def on_train_batch_end(self, trainer, module, *args):
        if module.steps_done == self.batches:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("saved_at_the_end", [True, False])
@pytest.mark.parametrize("split", [1, 4, 6])
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(
    make_module, make_data, make_trainer, tmp_path, split, saved_at_the_end
):
    """Stop after 1, 4 or 6 of 12 batches, in an epoch or at its end; or go on from what was saved on the way."""
    path = tmp_path / "part.ckpt"

    def run(max_steps, ckpt_path=None, callbacks=()):
        torch.manual_seed(5)
        trainer = make_trainer(max_epochs=-1, max_steps=max_steps, callbacks=list(callbacks))
        module = make_module()
        trainer.fit(module, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True)
        return trainer, module

    if saved_at_the_end:
        _, whole = run(12)
        run(split)[0].save_checkpoint(path)
    else:
        _, whole = run(12, callbacks=[SaveAfter(split, path)])
    _, resumed = run(12, path)

    assert resumed.steps_done == whole.steps_done == 12
    for (key, expected), value in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, value), key


def test_epoch_ends_resume_bit_for_bit_with_the_optimizer(make_module, make_data, make_trainer, tmp_path):
    def run(max_epochs, ckpt_path=None):
        trainer, module = make_trainer(max_epochs=max_epochs), make_module()
        trainer.fit(module, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True)
        return trainer, module

    one, whole = run(4)
    half, _ = run(2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    two, resumed = run(4, tmp_path / "half.ckpt")

    for expected, value in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, value)
    for expected, value in zip(
        one.optimizers[0].state_dict()["state"].values(), two.optimizers[0].state_dict()["state"].values(), strict=True
    ):
        assert torch.equal(expected["exp_avg_sq"], value["exp_avg_sq"])


def test_the_same_seed_gives_the_same_losses(make_module, make_data, make_trainer):
    def losses():
        seen = []
        module = make_module()
        note = module.note_loss
        module.note_loss = lambda loss: (seen.append(loss.item()), note(loss))[1]
        make_trainer(max_epochs=2).fit(module, datamodule=make_data())
        return seen

    first = losses()
    assert len(first) == 8
    assert first == losses()


def test_the_checkpoint_loads_without_pickled_code(make_module, make_data, make_trainer, tmp_path):
    trainer, module = make_trainer(), make_module()
    module.run_config = {"data": {"crop": 16, "sets": ["a"]}, "seed": 1}
    trainer.fit(module, datamodule=make_data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")

    stored = torch.load(tmp_path / "run.ckpt", weights_only=True)["prosr"]

    assert stored["architecture"] == module.generator.architecture
    assert stored["config"] == module.run_config
    assert stored["steps_done"] == 4


def test_training_lowers_the_loss(make_data, make_trainer, make_module):
    """From the bilinear start, a small network gains at least 0.3 dB on its training pictures in 150 batches."""
    module = make_module(
        generator=Generator(depth=2, channels=8), levels=[2], optimizer=lambda p: torch.optim.Adam(p, lr=3e-3)
    )
    data = make_data(levels=[2], patches_per_epoch=300, val_limit=None)
    trainer = make_trainer(max_epochs=1)
    trainer.validate(module, datamodule=data, verbose=False)
    before = trainer.callback_metrics["val/psnr"].item()
    trainer.fit(module, datamodule=data)
    assert trainer.callback_metrics["val/psnr"].item() > before + 0.3


def test_an_untrained_network_scores_as_bilinear(make_data, make_trainer, make_module):
    data, trainer = make_data(levels=[2]), make_trainer()
    trainer.validate(make_module(levels=[2]), datamodule=data, verbose=False)
    hr = data.val_dataloader().dataset[(0, True)]["hr"]
    bilinear = F.interpolate(bicubic_downscale(hr, 2), scale_factor=2, mode="bilinear", align_corners=False)
    assert trainer.callback_metrics["val/psnr"].item() == pytest.approx(psnr(bilinear, hr, border=2).item(), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": []}, "`levels` must be one or more rising factors"),
        ({"levels": [4, 2]}, "`levels` must be one or more rising factors"),
        ({"levels": [2, 3]}, "must be a power of two >= 2, got 3"),
        ({"val_scales": [6]}, "must be a power of two >= 2, got 6"),
        ({"ema_decay": 1.0}, r"`ema_decay` must be in \[0, 1\)"),
    ],
)
def test_refuses_arguments_outside_their_range(make_module, changes, message):
    with pytest.raises(ConfigError, match=message):
        make_module(**changes)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_whatever_the_optimizer_and_the_precision(
    make_module, make_data, make_trainer, algorithm, fused, precision
):
    class Largest(Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            gradients = [one.grad for one in pl_module.generator.parameters()]
            norm = float(torch.nn.utils.get_total_norm(gradients))
            self.seen.append(norm if algorithm == "norm" else max(float(one.abs().max()) for one in gradients))

    largest = Largest()
    module = make_module(optimizer=partial(torch.optim.Adam, lr=1e-3, fused=fused))
    trainer = make_trainer(
        precision=precision,
        gradient_clip_val=1e-3,
        gradient_clip_algorithm=algorithm,
        callbacks=[largest],
    )
    trainer.fit(module, datamodule=make_data())
    assert len(largest.seen) == 4
    assert largest.seen == pytest.approx([1e-3] * 4, rel=1e-2)  # each was larger before


def test_clipping_scaled_gradients_is_refused(make_module, monkeypatch):
    module = make_module(optimizer=partial(torch.optim.Adam, lr=1e-3, fused=True))
    plugin = MixedPrecision("16-mixed", "cpu")
    plugin.scaler = torch.amp.GradScaler("cpu")
    monkeypatch.setattr(module, "_trainer", type("Trainer", (), {"precision_plugin": plugin})())
    with pytest.raises(ConfigError, match="must be null with a fused optimizer in float16, got 0.1; set optimizer"):
        module.configure_gradient_clipping(module.configure_optimizers(), 0.1, "norm")


def test_drcn_is_supervised_at_every_recursion_less_and_less(make_module, monkeypatch):
    """DRCN, Eq. 7: alpha falls from 1 to 0 over the run."""
    from prosr_lightning.lit import prosrn

    network = DRCN(scale=2, channels=4, recursions=3)
    torch.nn.init.normal_(network.reconstruction[1].weight)
    module = make_module(generator=network, levels=[2])
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    monkeypatch.setattr(module, "_trainer", object())
    lr, hr = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 8, 8)
    average, *predictions = network.supervised(lr, 2)[2]
    own, others = (average - hr).abs().mean(), sum((one - hr).abs().mean() for one in predictions) / 3
    assert len(predictions) == 3
    for done in (0.0, 0.25, 1.0):
        monkeypatch.setattr(prosrn, "run_progress", lambda trainer, done=done: done)
        loss = module.training_step({"lr": lr, "hr": {2: hr}}, 0)
        torch.testing.assert_close(loss, done * own + (1 - done) * others)


def test_another_loss_takes_the_place_of_eq_1(make_module, monkeypatch):
    module = make_module(levels=[2], content=partial(squared_error, reduction="euclidean"))
    monkeypatch.setattr(module, "log", lambda *args, **kwargs: None)
    lr, hr = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 8, 8)
    expected = 0.5 * ((module.generator(lr) - hr) ** 2).sum() / 3
    torch.testing.assert_close(module.training_step({"lr": lr, "hr": {2: hr}}, 0), expected)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (lambda sr, hr: (sr - hr).abs(), r"got one of shape \(2, 1, 16, 16\)"),
        (lambda sr, hr: (sr - hr).abs().mean().item(), r"got \d"),
        (lambda sr, hr: (sr - hr).abs().mean().detach(), r"got tensor\("),
        (lambda sr, hr: ((sr - hr).abs().mean(), {}), r"got \("),
    ],
)
def test_a_loss_that_is_no_number_with_a_gradient_is_refused(make_module, content, got):
    module, image = make_module(levels=[2], content=content), torch.rand(2, 1, 16, 16)
    with pytest.raises(ConfigError, match=rf"`model.content` must return one number as a tensor .* `sr`, {got}"):
        module._level_loss([image.clone().requires_grad_()], image)


class Scaled(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()


@pytest.mark.parametrize("content", [lambda sr: sr.mean(), lambda sr, hr, lr: sr.mean(), Scaled])
def test_a_loss_takes_two_images(make_module, content):
    with pytest.raises(ConfigError, match=r"`model.content` must be a function of \(sr, hr\), got one of \("):
        make_module(levels=[2], content=content)
