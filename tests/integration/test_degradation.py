"""One's own degradation is used wherever LR images are made, and tables name it."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer
from PIL import Image
from soft import Soft, brightness

from prosr_lightning.data.benchmarks import Benchmark
from prosr_lightning.data.photographs import FolderDataModule
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate import after_training
from prosr_lightning.evaluate.methods import make_sample, read_ycbcr
from prosr_lightning.evaluate.running import evaluate_network
from prosr_lightning.evaluate.task import EvaluateOptions, results_table, run
from prosr_lightning.imaging.blind import Blind
from prosr_lightning.imaging.color import ycbcr_to_rgb
from prosr_lightning.imaging.degradation import Bicubic, Degradation, Jpeg, Noise
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.lit.prosrn import LitProSRN
from prosr_lightning.metrics import psnr
from prosr_lightning.metrics.protocol import PAPER
from prosr_lightning.networks import Generator
from prosr_lightning.train import panels

OURS = [Jpeg(), Jpeg(quality=50), Noise(), Blind()]
HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Three smooth pictures."""
    (tmp_path / "Own").mkdir()
    for number, (height, width) in enumerate([(70, 66), (64, 80), (72, 72)]):
        coarse = Image.fromarray(rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(tmp_path / "Own" / f"{number}.png")
    return tmp_path / "Own"


@pytest.fixture
def benchmark(folder: Path) -> Benchmark:
    return Benchmark(name="Own", images=tuple(sorted(folder.glob("*.png"))))


def make_data(folder: Path, **changes: object) -> FolderDataModule:
    settings = {
        "train_dir": folder,
        "data_dir": folder.parent,
        "val_sets": [str(folder)],
        "levels": [2, 4],
        "crop": 16,
        "batch_size": 3,
        "patches_per_epoch": 9,
        "num_workers": 0,
        "cache_dir": folder.parent / "cache",
        "seed": 5,
    }
    return FolderDataModule(**(settings | changes))  # type: ignore[arg-type]


def make_module() -> LitProSRN:
    torch.manual_seed(0)
    return LitProSRN(
        generator=Generator(depth=1, channels=4), optimizer=partial(torch.optim.Adam, lr=1e-3), levels=[2, 4]
    )


def soft_lr(hr: torch.Tensor, scale: int, number: int) -> torch.Tensor:
    return Soft()(modcrop(hr, scale), scale, draw=(number,))


def test_training_sees_it_and_its_targets_do_not(folder: Path) -> None:
    soft = make_data(folder, degradation=Soft(), augment=False)
    usual = make_data(folder, augment=False)
    batches = []
    for data in (soft, usual):
        data.prepare_data()
        data.setup("fit")
        batches.append([data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()])
    assert soft.degradation.draws == [(5, 0, number) for number in range(3)]
    for number, (ours, theirs) in enumerate(zip(*batches, strict=True)):
        assert all(torch.equal(ours["hr"][level], theirs["hr"][level]) for level in (2, 4))
        brighter = (ours["lr"].mean() - theirs["lr"].mean()).item()
        assert brighter == pytest.approx(brightness((5, 0, number)), abs=0.02)
        assert ours["lr"].std() < 0.95 * theirs["lr"].std()


def batches_of(folder: Path, degradation: Degradation, **changes: object) -> list[dict]:
    data = make_data(folder, degradation=degradation, **changes)
    data.prepare_data()
    data.setup("fit")
    return [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]


@pytest.mark.parametrize("degradation", OURS, ids=lambda one: one.name)
def test_batches_do_not_depend_on_the_number_of_workers(folder: Path, degradation: Degradation) -> None:
    none, two = (batches_of(folder, degradation, num_workers=workers) for workers in (0, 2))
    assert len(none) == 3
    for alone, shared in zip(none, two, strict=True):
        assert torch.equal(alone["lr"], shared["lr"])
        assert all(torch.equal(alone["hr"][level], shared["hr"][level]) for level in (2, 4))
    assert none[0]["lr"].shape == (3, 1, 4, 4)


@pytest.mark.parametrize("degradation", OURS, ids=lambda one: one.name)
def test_resuming_is_bit_exact(folder: Path, degradation: Degradation, tmp_path: Path) -> None:
    """Stop in the middle of the second epoch."""

    def fit(steps: int, start: Path | None = None) -> tuple[Trainer, LitProSRN]:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=-1,
            max_steps=steps,
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=tmp_path,
        )
        module = make_module()
        trainer.fit(module, datamodule=make_data(folder, degradation=degradation), ckpt_path=start, weights_only=True)
        return trainer, module

    whole = fit(8)[1]
    fit(4)[0].save_checkpoint(tmp_path / "part.ckpt")
    resumed = fit(8, tmp_path / "part.ckpt")[1]
    for (key, expected), value in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, value), key


@pytest.mark.parametrize("degradation", OURS, ids=lambda one: one.name)
def test_validation_is_degraded_as_tables_are(folder: Path, benchmark: Benchmark, degradation: Degradation) -> None:
    data = make_data(folder, degradation=degradation)
    for number, path in enumerate(benchmark.images):
        image = data.on_after_batch_transfer(data.val_dataloader().dataset[(number, True)], 0)
        for scale in (2, 4):
            sample = make_sample(path, read_ycbcr(path), scale, rounding="none", degradation=degradation, number=number)
            expected = sample.lr[:, :1].float()
            if degradation.color:
                assert (image["lr"][scale] - expected).abs().mean() < 1e-3  # float32 beside float64
            else:  # a gray file beside one of colour
                assert psnr(image["lr"][scale], expected, border=0).item() > 30


def test_one_network_can_learn_the_planes_by_their_shares(folder: Path) -> None:
    """Each patch is of one plane, HR and LR alike; luminance alone is what it was."""
    shares = {"y": 0.5, "cb": 0.25, "cr": 0.25}
    settings = {"augment": False, "patches_per_epoch": 600, "batch_size": 600}
    (mixed,), (usual,) = (batches_of(folder, Bicubic(), planes=planes, **settings) for planes in (shares, None))
    (blue,) = batches_of(folder, Bicubic(), planes={"cb": 1}, **settings)
    alike = (mixed["hr"][4] - usual["hr"][4]).abs().amax(dim=(1, 2, 3)) < 0.003
    assert alike.float().mean().item() == pytest.approx(0.5, abs=0.07)
    of_blue = (mixed["hr"][4] == blue["hr"][4]).all(dim=3).all(dim=2).flatten()
    assert of_blue.float().mean().item() == pytest.approx(0.25, abs=0.06)
    torch.testing.assert_close(mixed["lr"][of_blue], blue["lr"][of_blue], atol=1e-6, rtol=0)
    assert (mixed["lr"][alike] - usual["lr"][alike]).abs().max() < 0.003


@pytest.mark.parametrize("plane", ["y", "cb"])
def test_planes_are_those_of_a_compressed_picture_in_colour(folder: Path, plane: str) -> None:
    """Chroma is stored at half the size: of it a file keeps less."""
    shares = {"y": 1e-9, "cb": 1e-9, plane: 1.0}
    lossy, clean = (
        batches_of(folder, degradation, planes=shares, augment=False, batch_size=300, patches_per_epoch=300)[0]
        for degradation in (Jpeg(quality=95, clean=0), Bicubic())
    )
    assert torch.equal(lossy["hr"][4], clean["hr"][4])
    error = (lossy["lr"] - clean["lr"]).std().item() * 255
    assert (1 < error < 6) if plane == "y" else (6 < error < 30)


@pytest.mark.parametrize("planes", [{"u": 1}, {"y": 0}, ["y"], "all"])
def test_planes_that_are_none_are_refused(folder: Path, planes: object) -> None:
    with pytest.raises(
        ConfigError, match=r"`planes` must be equal, or have positive shares of some of \['y', 'cb', 'cr'"
    ):
        make_data(folder, planes=planes)


def test_validation_and_its_panels_see_it(folder: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    data, module = make_data(folder, degradation=Soft()), make_module()
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    trainer.validate(module, datamodule=data, verbose=False)
    images = [read_ycbcr(path)[:, :1].float() for path in benchmark.images]
    for scale in (2, 4):
        scores = []
        for number, image in enumerate(images):
            with torch.no_grad():
                sr = module.network.enlarge(soft_lr(image, scale, number), scale)
            scores.append(psnr(sr, modcrop(image, scale), border=scale).item())
        assert trainer.callback_metrics[f"val/Own/x{scale}/psnr"].item() == pytest.approx(np.mean(scores), abs=1e-4)

    batch = data.on_after_batch_transfer(data.val_dataloader().dataset[(1, True)], 0)
    with torch.no_grad():
        lr_panel, bicubic_panel, *_ = panels._row(module, batch, 4)
    lr = soft_lr(images[1], 4, 1)
    assert np.array_equal(lr_panel.image[..., 0], lr[0, 0].clamp(0, 1).mul(255).round().byte().numpy())
    expected = psnr(bicubic_upscale(lr, 4), modcrop(images[1], 4), border=4).item()
    assert bicubic_panel.caption == f"bicubic 4x\n{expected:.2f} dB"


def test_tables_are_made_with_it_and_name_it(benchmark: Benchmark, folder: Path, tmp_path: Path) -> None:
    scores = evaluate_network(None, [benchmark], [2, 4], PAPER, degradation=Soft())
    for score, (scale, number) in zip(
        scores, ((scale, number) for scale in (2, 4) for number in range(3)), strict=True
    ):
        hr = modcrop(read_ycbcr(benchmark.images[number]), scale)
        expected = psnr(bicubic_upscale(soft_lr(hr, scale, number)[:, :1], scale), hr[:, :1], border=scale).item()
        assert score.psnr_db == pytest.approx(expected, abs=1e-9)

    options = EvaluateOptions(
        data_dir=tmp_path,
        output_dir=tmp_path / "out",
        method="bicubic",
        benchmarks=[str(folder)],
        scales=[2],
        degradation=Soft(),
    )
    rows, info = run(options)
    assert rows[0].psnr_db == pytest.approx(np.mean([score.psnr_db for score in scores[:3]]))
    assert "LR images by soft" in results_table(rows, info).caption
    assert json.loads((tmp_path / "out" / "run.json").read_text())["degradation"] == "soft"
    with pytest.raises(ConfigError, match="`degradation` has no meaning for LR images that are given, got soft"):
        run(EvaluateOptions(**{**vars(options), "lr_dir": str(folder)}))


def test_what_a_training_ends_with_is_made_with_it(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []
    original = after_training.comparison
    monkeypatch.setattr(
        after_training, "comparison", lambda rows, **kwargs: drawn.extend(rows) or original(rows, **kwargs)
    )
    monkeypatch.setattr(after_training, "_CROP", 32)
    network = Generator(depth=1, channels=2)
    arguments = {"output_dir": tmp_path, "picture": True, "degradation": Soft()}
    scores = after_training.score_run({"Mine": network}, [benchmark], [2], PAPER, **arguments)
    expected = evaluate_network(network, [benchmark], [2], PAPER, degradation=Soft())
    assert [one.psnr_db for one in scores["Mine"]] == [one.psnr_db for one in expected]
    assert json.loads((tmp_path / "test" / "Mine" / "run.json").read_text())["degradation"] == "soft"
    assert "LR images by soft" in " ".join(capsys.readouterr().out.split())

    lr = ycbcr_to_rgb(soft_lr(read_ycbcr(benchmark.images[0]), 2, 0)).clamp(0, 1)
    assert np.array_equal(drawn[0][0].image, lr[0].permute(1, 2, 0).mul(255).round().byte().numpy())


def test_a_class_and_a_file_are_all_it_takes(run_module, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "mine" / "degradation").mkdir(parents=True)
    (tmp_path / "mine" / "degradation" / "soft.yaml").write_text("_target_: soft.Soft\n")
    words = ["--config-dir", "mine", "degradation=soft", "hydra.run.dir=out"]
    trained = run_module(
        "train",
        *words,
        "debug=smoke",
        "data=folder",
        f"data.train_dir={folder}",
        f"data.val_sets=[{folder}]",
        "data.crop=32",
        "test.benchmarks=validation",
        "test.scales=[2]",
        "trainer.accelerator=cpu",
        PYTHONPATH=f"{HERE}:{os.environ.get('PYTHONPATH', '')}",
    )
    assert "LR images by soft" in " ".join(trained.stdout.split())
    for method in ("bicubic", "ProSRN"):
        info = json.loads((tmp_path / "out" / "test" / method / "run.json").read_text())
        assert info["degradation"] == "soft"
