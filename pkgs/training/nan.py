"""Keeping what made a loss not finite: the batch, the weights before the step, the generators."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from pkgs.foundation.files import write_json, write_whole
from pkgs.training.checkpoints import encode_weights


class NotFiniteError(Exception):
    """Loss or gradient became NaN or infinite; the update was held back."""


def keep_evidence(  # noqa: PLR0913 - all by name
    folder: Path,
    *,
    step: int,
    batch: Mapping[str, Tensor],
    modules: Mapping[str, nn.Module],
    state: Mapping[str, Any],
    command: Sequence[str],
) -> None:
    """Write everything that is needed to do the step again into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in batch.items()}
    write_whole(folder / "batch.safetensors", safetensors.torch.save(tensors))
    for name, module in modules.items():
        write_whole(folder / f"{name}.safetensors", encode_weights(module))
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_whole(folder / "state.pt", buffer.getvalue())
    write_json(folder / "about.json", {"step": step, "command": list(command)})
