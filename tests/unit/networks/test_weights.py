"""Weights files: what comes back, and one clear error for each way a file can be wrong."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from prosr_lightning import released
from prosr_lightning.errors import CheckpointError, ConfigError, StorageError
from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import load_network, save_network
from prosr_lightning.released import released_names


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(depth=2, channels=4, skip_every=2, negative_slope=0.1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    return network


def checkpoint(generator: Generator, **changes: Any) -> dict[str, Any]:
    ema = {f"ema_generator.module.{key}": value + 1 for key, value in generator.state_dict().items()}
    plain = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    extra = {"ema_generator.n_averaged": torch.tensor(3), "discriminator.head.weight": torch.zeros(2)}
    prosr = {"architecture": generator.architecture, "config": {"seed": 1}, "version": "0.1.0"}
    return {"state_dict": plain | ema | extra, "prosr": prosr, "epoch": 2} | changes


def test_a_network_survives_the_round_trip_with_its_metadata(tmp_path: Path, generator: Generator) -> None:
    save_network(tmp_path / "net.safetensors", generator, {"licence": "CC0-1.0", "scores": {"Set5": 36.5}})
    loaded = load_network(tmp_path / "net.safetensors")
    lr = torch.rand(1, 1, 7, 5)
    assert torch.equal(loaded.network(lr), generator(lr))
    assert loaded.metadata["architecture"] == generator.architecture
    assert loaded.metadata["scores"] == {"Set5": 36.5}
    assert not loaded.network.training


def test_half_precision_weights_come_back_in_float32(tmp_path: Path, generator: Generator) -> None:
    save_network(tmp_path / "net.safetensors", generator.half())
    assert {value.dtype for value in load_network(tmp_path / "net.safetensors").network.parameters()} == {torch.float32}


def test_the_averaged_weights_of_a_checkpoint_are_preferred(tmp_path: Path, generator: Generator) -> None:
    torch.save(checkpoint(generator), tmp_path / "last.ckpt")
    loaded = load_network(tmp_path / "last.ckpt")
    assert torch.equal(loaded.network.state_dict()["entry.weight"], generator.entry.weight + 1)
    assert loaded.metadata["config"] == {"seed": 1}


def test_a_checkpoint_without_averaged_weights_gives_the_plain_ones(tmp_path: Path, generator: Generator) -> None:
    content = checkpoint(generator)
    content["state_dict"] = {key: value for key, value in content["state_dict"].items() if not key.startswith("ema")}
    torch.save(content, tmp_path / "last.ckpt")
    assert torch.equal(
        load_network(tmp_path / "last.ckpt").network.state_dict()["entry.weight"], generator.entry.weight
    )


def test_the_content_decides_not_the_suffix(tmp_path: Path, generator: Generator) -> None:
    save_network(tmp_path / "renamed.ckpt", generator)
    torch.save(
        {"params_ema": generator.state_dict(), "prosr": {"architecture": generator.architecture}}, tmp_path / "a.pth"
    )
    for name in ("renamed.ckpt", "a.pth"):
        assert torch.equal(load_network(tmp_path / name).network.state_dict()["entry.weight"], generator.entry.weight)


def test_the_length_of_the_metadata_does_not_matter(tmp_path: Path, generator: Generator) -> None:
    for length in range(0, 256, 8):  # safetensors pads to 8; one of these lengths looks like the first byte of a pickle
        save_network(tmp_path / "net.safetensors", generator, {"note": length * "x"})
        assert load_network(tmp_path / "net.safetensors").metadata["note"] == length * "x"


def test_loading_leaves_the_random_numbers_alone(tmp_path: Path, generator: Generator) -> None:
    save_network(tmp_path / "net.safetensors", generator)
    before = torch.random.get_rng_state()
    load_network(tmp_path / "net.safetensors")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_released_names_are_the_files_in_the_package(
    tmp_path: Path, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "RELEASED_FOLDER", tmp_path)
    save_network(tmp_path / "prosrn.safetensors", generator)
    save_network(tmp_path / "prosrgan.safetensors", generator)
    assert released_names() == ("prosrgan", "prosrn")
    assert isinstance(load_network("prosrn").network, Generator)
    with pytest.raises(CheckpointError, match=r"'prosr'.*released: prosrgan, prosrn"):
        load_network("prosr")


class _Hostile:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("inside_torch_save", [True, False])
def test_a_hostile_pickle_is_refused_and_never_run(tmp_path: Path, inside_torch_save: bool) -> None:
    victim, path = tmp_path / "victim", tmp_path / "evil.ckpt"
    if inside_torch_save:
        torch.save({"state_dict": {}, "prosr": _Hostile(victim)}, path)
    else:
        path.write_bytes(pickle.dumps(_Hostile(victim), protocol=2))
    with pytest.raises(CheckpointError, match=r"asks for \w+\.system, which could run code"):
        load_network(path)
    assert not victim.exists()


def _foreign(*keys: str) -> dict[str, Tensor]:
    return {key: torch.zeros(1) for key in keys}


@pytest.mark.parametrize(
    ("state", "program"),
    [
        (_foreign("conv_first.weight", "body.0.rdb1.conv1.weight"), "RRDBNet"),
        (_foreign("layers.0.residual_group.blocks.0.attn.relative_position_bias_table"), "SwinIR"),
        (_foreign("head.0.weight", "body.0.body.0.weight"), "EDSR"),
        (_foreign("something.weight"), "1 tensors .something.weight."),
        (Generator(depth=1, channels=4).state_dict(), "our Generator"),
        ({}, "0 tensors .none."),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_another_program_are_named(
    tmp_path: Path, state: dict[str, Tensor], program: str, suffix: str
) -> None:
    path = tmp_path / f"other{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"params_ema": state}, path)
    with pytest.raises(CheckpointError, match=program):
        load_network(path)


def test_weights_that_do_not_fit_their_architecture_are_refused(tmp_path: Path, generator: Generator) -> None:
    content = checkpoint(generator)
    content["prosr"]["architecture"] = generator.architecture | {"channels": 8}
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="0 keys missing, 0 unknown, 9 of another shape"):
        load_network(tmp_path / "a.ckpt")
    content["prosr"]["architecture"] = generator.architecture | {"depth": 10**9}
    torch.save(content, tmp_path / "b.ckpt")
    with pytest.raises(CheckpointError, match=r"too few for .*depth"):
        load_network(tmp_path / "b.ckpt")


class Seeded(Generator):
    def __init__(self, *, seed: int) -> None:
        super().__init__(depth=1, channels=2)


def test_a_large_number_of_a_network_of_ones_own_is_no_damage(tmp_path: Path) -> None:
    save_network(tmp_path / "net.safetensors", Seeded(seed=10**9))
    assert load_network(tmp_path / "net.safetensors", trust=[Seeded]).network.arguments == {"seed": 10**9}


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, generator: Generator) -> None:
    with torch.no_grad():
        generator.entry.weight[0] = torch.nan
    save_network(tmp_path / "net.safetensors", generator)
    with pytest.raises(CheckpointError, match=r"not finite \(entry.weight\)"):
        load_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize("keep", [12, 100, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
def test_a_file_cut_short_is_refused(tmp_path: Path, generator: Generator, kind: str, keep: float) -> None:
    path = tmp_path / f"net.{kind}"
    save_network(path, generator) if kind == "safetensors" else torch.save(checkpoint(generator), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(CheckpointError, match=r"damaged|cut short"):
        load_network(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><title>404</title>", "starts with b'<!DOCTYPE html>"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x08\0\0\0\0\0\0\0{notjson", "damaged"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_network(tmp_path / "net.safetensors")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"missing\.ckpt must be a weights file, found nothing there"):
        load_network(tmp_path / "missing.ckpt")
    with pytest.raises(CheckpointError, match="got a folder"):
        load_network(tmp_path)


def test_saving_refuses_what_json_cannot_hold_and_what_cannot_be_written(tmp_path: Path, generator: Generator) -> None:
    with pytest.raises(ConfigError, match="plain JSON values"):
        save_network(tmp_path / "net.safetensors", generator, {"path": tmp_path})
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        save_network(tmp_path / "file" / "net.safetensors", generator)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
