"""An exported step that computes in 8-bit integers: quantised by ONNX Runtime, calibrated on photographs."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from prosr_lightning.errors import DataError, ProSRError
from prosr_lightning.export.task import export_network
from prosr_lightning.imaging.arrays import Array
from prosr_lightning.imaging.color import rgb_to_luminance
from prosr_lightning.imaging.io import IMAGE_SUFFIXES, atomic_path, read_rgb
from prosr_lightning.imaging.resize import bicubic_downscale
from prosr_lightning.metrics.fidelity import psnr
from prosr_lightning.networks import Trust

Planes = npt.NDArray[np.float32]
Run = Callable[[Planes], Planes]

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
            before, after = (_mean_psnr(_session(file), pairs[1::2]) for file in (plain, temporary))
            if not before - after <= _LARGEST_LOSS:
                raise ProSRError(
                    f"{target} must lose at most {_LARGEST_LOSS} dB in 8 bits, got {before:.2f} dB in float32 and "
                    f"{after:.2f} dB; keep this network in float32."
                )
    return target, before, after


def _quantise(path: Path, target: Path, images: Sequence[Planes]) -> None:
    import onnx  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    from onnxruntime import quantization  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # likewise

    graph = onnx.load(str(path))
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    crops = iter([{graph.graph.input[0].name: _centre(image, _CROP)} for image in images[:_MOST]])

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


def _pairs(folder: Path) -> list[tuple[torch.Tensor, Planes]]:
    """Return the luminance of photographs, `(1, 1, H, W)`, and that of their halves."""
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing"
        raise DataError(f"--int8 must name a folder of photographs, got {folder}, where {what} is; give its folder.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    pairs = []
    for file in files[: 4 * _MOST]:
        rgb = torch.from_numpy(read_rgb(file).copy()).permute(2, 0, 1)[None].double() / 255
        height, width = (side // _FACTOR * _FACTOR for side in rgb.shape[-2:])
        if min(height, width) < _FACTOR * _CROP:
            continue
        rgb = _centre(rgb[..., :height, :width], 4 * _CROP)
        lr = bicubic_downscale(rgb, _FACTOR).mul(255).round().clamp(0, 255).div(255)
        pairs.append((rgb_to_luminance(rgb), rgb_to_luminance(lr).float().numpy()))
    if len(pairs) < 4:
        raise DataError(
            f"{folder} must hold at least four photographs of {_FACTOR * _CROP} pixels and more, found {len(pairs)}; "
            "name a folder of such as are to be enlarged."
        )
    return pairs


def _centre(image: Array, side: int) -> Array:
    top, left = (max((length - side) // 2, 0) // 2 * 2 for length in image.shape[-2:])
    return cast(Array, image[..., top : top + side, left : left + side])


def _session(path: Path) -> Run:
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda lr: session.run(None, {name: lr})[0]  # type: ignore[no-any-return,unused-ignore]  # no usable types


def _mean_psnr(run: Run, pairs: Sequence[tuple[torch.Tensor, Planes]]) -> float:
    values = [psnr(torch.from_numpy(run(lr)).double(), hr, border=_FACTOR) for hr, lr in pairs]
    return float(torch.cat(values).mean())
