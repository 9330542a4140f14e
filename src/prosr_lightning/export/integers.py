"""An exported step that computes in 8-bit integers: quantised by ONNX Runtime, calibrated on photographs."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import torch
from torch import Tensor

from prosr_lightning.errors import DataError, ProSRError
from prosr_lightning.export.task import Run, export_network, run_onnx
from prosr_lightning.imaging.arrays import Planes
from prosr_lightning.imaging.color import from_rgb8, rgb_to_luminance
from prosr_lightning.imaging.geometry import modcrop
from prosr_lightning.imaging.io import IMAGE_SUFFIXES, atomic_path, read_rgb
from prosr_lightning.imaging.resize import bicubic_downscale
from prosr_lightning.metrics import psnr, quantize_8bit
from prosr_lightning.networks import Trust

_FACTOR = 2
_CROP = 128  # sides of the LR crops of calibration, which must be alike
_MOST = 16  # of them
_LARGEST_LOSS = 0.1  # dB; a network that is trained well loses a third of it


def export_in_8_bits(
    name_or_path: str, folder: Path, photographs: Path, *, trust: Trust = ()
) -> tuple[Path, float, float]:
    """Write a step whose convolutions between the first and the last have weights and features of 8 bits.

    The enlarged image, the sums of shortcuts, the first convolution and the last stay in float32: they carry the image.

    Args:
        name_or_path: As `weights.load_network`.
        folder: Where `<name>_int8_step_x2.onnx` goes.
        photographs: A folder; every second one shrunk to half calibrates, and the others tell what is lost.
        trust: As `weights.load_network`.

    Returns:
        The file, and the mean PSNR of luminance in dB of photographs shrunk to half and enlarged: in float32, and in 8
        bits.

    Raises:
        DataError: If `photographs` holds fewer than four of 256 x 256 pixels and more.
        ProSRError: If more than 0.1 dB is lost, and as `export_network`.
    """
    pairs = _pairs(photographs)
    with tempfile.TemporaryDirectory() as place:
        plain = export_network(name_or_path, Path(place), graphs=["step"], scale=_FACTOR, trust=trust)[0].path
        target = folder / f"{Path(name_or_path).stem}_int8_step_x2.onnx"
        if plain.name.removesuffix("_step_x2.onnx") != Path(name_or_path).stem:
            raise ProSRError(f"{target.name} needs a network that repeats one 2x step, got {plain.name}.")
        with atomic_path(target) as temporary:
            with redirect_stdout(io.StringIO()):  # it tells of its own internals
                _quantise(plain, temporary, [lr for _, lr in pairs[::2]])
            before, after = (_mean_psnr(run_onnx(file), pairs[1::2]) for file in (plain, temporary))
            if not before - after <= _LARGEST_LOSS:
                raise ProSRError(
                    f"{target} must lose at most {_LARGEST_LOSS} dB in 8 bits, got {before:.2f} dB in float32 and "
                    f"{after:.2f} dB; keep this network in float32."
                )
    return target, before, after


def _quantise(path: Path, target: Path, images: Sequence[Tensor]) -> None:
    import onnx  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    from onnxruntime import quantization  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # likewise

    graph = onnx.load(str(path))
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    crops = iter([{graph.graph.input[0].name: _centre(image, _CROP).numpy()} for image in images[:_MOST]])

    class Crops(quantization.CalibrationDataReader):  # type: ignore[misc,unused-ignore]  # no usable types
        def get_next(self) -> dict[str, Planes] | None:
            return next(crops, None)

    prepared = path.with_name("prepared.onnx")
    quantization.shape_inference.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(target),
        Crops(),
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[convolutions[0], convolutions[-1]],
        per_channel=True,
        reduce_range=True,  # weights of 7 bits, or sums of 16 bits saturate on processors without VNNI; as good
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.Percentile,  # 0.02 dB better than the extremes
    )
    written = onnx.load(str(target))
    onnx.helper.set_model_props(written, {entry.key: entry.value for entry in graph.metadata_props})
    onnx.save(written, str(target))


def _pairs(folder: Path) -> list[tuple[Tensor, Tensor]]:
    """Return the luminance of photographs, `(1, 1, H, W)`, and that of their halves."""
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing"
        raise DataError(f"--int8 must name a folder of photographs, got {folder}, where {what} is; give its folder.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    pairs = []
    for file in files[: 4 * _MOST]:
        rgb = from_rgb8(read_rgb(file))
        if min(rgb.shape[-2:]) < _FACTOR * _CROP:
            continue
        rgb = _centre(modcrop(rgb, _FACTOR), 4 * _CROP)
        lr = quantize_8bit(bicubic_downscale(rgb, _FACTOR))
        pairs.append((rgb_to_luminance(rgb), rgb_to_luminance(lr).float()))
    if len(pairs) < 4:
        raise DataError(
            f"{folder} must hold at least four photographs of {_FACTOR * _CROP} pixels and more, found {len(pairs)}; "
            "name a folder of such as are to be enlarged."
        )
    return pairs


def _centre(image: Tensor, side: int) -> Tensor:
    top, left = (max((length - side) // 2, 0) // 2 * 2 for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


def _mean_psnr(run: Run, pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    values = [psnr(run(lr).double(), hr, border=_FACTOR) for hr, lr in pairs]
    return float(torch.cat(values).mean())
