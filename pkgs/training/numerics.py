"""What decides about the last bits of a result: threads, TF32, and whether kernels may be chosen freely."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import torch
from torch import nn

from pkgs.training.config import TrainingConfig

WORKSPACE: Final = "CUBLAS_WORKSPACE_CONFIG"

NEVER_EXACT: Final = (
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d, nn.AvgPool3d, nn.MaxPool3d,
    nn.FractionalMaxPool2d, nn.FractionalMaxPool3d, nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d,
    nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d, nn.ReplicationPad1d, nn.ReplicationPad2d,
    nn.ReplicationPad3d, nn.EmbeddingBag,
)  # fmt: skip
"""Layers whose CUDA backward adds in any order (documentation of torch.use_deterministic_algorithms)."""
BLURRING: Final = frozenset({"linear", "bilinear", "bicubic", "trilinear"})


def set_numerics(config: TrainingConfig) -> dict[str, object]:
    """Set threads, TF32 and determinism explicitly, and return what was set, for provenance.json."""
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("high" if config.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cudnn.benchmark = not config.deterministic  # it picks kernels by a race
    if config.deterministic:
        os.environ.setdefault(WORKSPACE, ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(config.deterministic)
    torch.autograd.set_detect_anomaly(config.debug)
    return {
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "tf32": config.tf32,
        "deterministic": config.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        WORKSPACE.lower(): os.environ.get(WORKSPACE),
    }


def cannot_obey(modules: Mapping[str, nn.Module]) -> list[str]:
    """Return the layers that have no deterministic backward on CUDA, as `module.path (Type)`.

    Functions that a forward pass calls (`F.interpolate`, `F.grid_sample`) are not seen here; torch names them
    when it meets them.
    """
    return [
        f"{name}.{path} ({type(layer).__name__})"
        for name, module in modules.items()
        for path, layer in module.named_modules()
        if isinstance(layer, NEVER_EXACT) or (isinstance(layer, nn.Upsample) and layer.mode in BLURRING)
    ]
