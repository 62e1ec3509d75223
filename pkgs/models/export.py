"""Networks for other programs: ONNX and torch.export, any batch size, each compared with the original."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from pkgs.models.output import LogitsOnly

Form = Literal["onnx", "torch.export"]

TOLERANCE: Final = 1e-4
"""Largest difference of two logits that passes: what another order of float32 sums can make."""


def export(network: nn.Module, shape: tuple[int, ...], *, form: Form, path: Path) -> float:
    """Write the network's logits as a program, run it, and return the largest difference from the original.

    Compared on a batch of another size than the one it was made with.

    Args:
        network: Returns `Output`. Put into evaluation mode.
        shape: Channels and sides of one image.
        form: `onnx`, or `torch.export` (a `.pt2` for `torch.export.load`).
        path: Replaced if it exists.

    Raises:
        ValueError: If a package is missing, or the difference is above 1e-4; the file is then removed.
    """
    logits = LogitsOnly(network).eval()
    generator = torch.Generator().manual_seed(0)
    example, judged = (torch.rand((batch, *shape), generator=generator) for batch in (2, 3))
    if form == "onnx":
        _need_onnx()
        _write_onnx(logits, example, path)
        found = _run_onnx(path, judged)
    else:
        torch.export.save(_traced(logits, example), path)
        with torch.no_grad():
            found = torch.export.load(path).module()(judged)
    with torch.no_grad():
        difference = float((found - logits(judged)).abs().max())
    if not difference <= TOLERANCE:
        path.unlink()
        raise ValueError(
            f"{path}: the exported network differs by {difference:.2g}, more than {TOLERANCE:g}; removed."
        )
    return difference


def _traced(logits: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch")
    return torch.export.export(logits, (example,), dynamic_shapes=({0: batch},))


def _write_onnx(logits: nn.Module, example: Tensor, path: Path) -> None:
    exporter = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns that torchvision is absent, which we never need
    try:
        with warnings.catch_warnings():
            # torch 2.13 warns about its own use of its own LeafSpec
            warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
            program = torch.onnx.export(
                logits,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=["image"],
                output_names=["logits"],
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    program.save(str(path))


def _run_onnx(path: Path, image: Tensor) -> Tensor:
    import onnxruntime  # noqa: PLC0415 - an extra

    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401, PLC0415 - extras
        import onnxruntime  # noqa: F401, PLC0415
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise ValueError(
            f"Export to ONNX needs {error.name}, which is not installed: pip install 'queuemanager[onnx]'. "
            "--format torch.export works without it."
        ) from None
