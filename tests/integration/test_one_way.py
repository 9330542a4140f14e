"""The command, the scores and the library enlarge alike, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prosr_lightning import upscale
from prosr_lightning.evaluate.methods import NetworkMethod, Sample, read_ycbcr
from prosr_lightning.evaluate.task import EvaluateOptions, run
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.pictures.recoloring import Recoloring
from prosr_lightning.pictures.rows import WholePicture
from prosr_lightning.upscale.chain import Chain
from prosr_lightning.upscale.upscaler import Upscaler

SCALE = 4


@pytest.fixture
def network() -> Generator:
    torch.manual_seed(0)
    network = Generator(depth=2, channels=8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture
def folder(tmp_path: Path, network: Generator, rng: np.random.Generator) -> Path:
    """Weights, an original, and its LR image in 8 bits, as a user would have it."""
    save_network(tmp_path / "net.safetensors", network)
    original = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).resize((258, 195))
    for name, picture in (("data/Own", original), ("lr", original.crop((0, 0, 256, 192)).reduce(SCALE))):
        (tmp_path / name).mkdir(parents=True)
        picture.save(tmp_path / name / "00.png")
    return tmp_path


@pytest.mark.parametrize("words", [["--tta"], []], ids=["ensemble", "single"])
@pytest.mark.parametrize("bf16", [False, True])
def test_the_command_and_the_scores_write_one_picture(folder: Path, words: list[str], bf16: bool) -> None:
    weights = str(folder / "net.safetensors")
    options = EvaluateOptions(
        data_dir=folder / "data",
        output_dir=folder / "scores",
        ckpt_path=weights,
        benchmarks=[str(folder / "data" / "Own")],
        scales=[SCALE],
        lr_dir=str(folder / "lr"),
        self_ensemble=bool(words),
        bf16=bf16,
        save_images=True,
        device="cpu",
    )
    run(options)
    scored = folder / "scores" / "images" / "Own" / "x4" / "00.png"
    words = [*words, "--bf16" if bf16 else "--fp32", "--device", "cpu", "-n", weights]
    code = upscale.main(["-i", str(folder / "lr" / "00.png"), "-o", str(folder / "out.png"), "-s", "4", *words])
    assert code == 0
    ours, theirs = np.asarray(Image.open(folder / "out.png")), np.asarray(Image.open(scored))
    assert len(np.unique(ours)) > 100
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("ensemble", [True, False])
@torch.inference_mode()
def test_luminance_is_the_same_to_the_last_bit(folder: Path, network: Generator, ensemble: bool) -> None:
    path = folder / "lr" / "00.png"
    lr = Recoloring(WholePicture(np.asarray(Image.open(path))), [], arrays=torch).planes.take(0, 48)
    sample = Sample(path, SCALE, modcrop(read_ycbcr(folder / "data" / "Own" / "00.png"), SCALE), lr_path=path)
    assert torch.equal(lr, sample.lr[:, :1].float())
    scored = NetworkMethod(network=network, device="cpu", self_ensemble=ensemble, bf16=False, tile="auto")(sample)
    engine = Upscaler.from_network(network, device="cpu").engine
    assert torch.equal(Chain(engine, scale=SCALE, self_ensemble=ensemble).image(lr), scored.float())
