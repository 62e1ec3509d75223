"""Threads, TF32, determinism: set explicitly and recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from pkgs.training.config import TrainingConfig
from pkgs.training.numerics import cannot_obey, set_numerics


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    threads = torch.get_num_threads()
    yield
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    set_numerics(TrainingConfig())
    torch.set_num_threads(threads)


def test_fp32_means_fp32_unless_tf32_is_wished() -> None:
    for tf32 in (True, False):
        told = set_numerics(TrainingConfig(tf32=tf32))
        assert told["tf32"] is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")


def test_the_determinism_switch_sets_all_that_it_takes_and_records_it() -> None:
    told = set_numerics(TrainingConfig(deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert (told["deterministic"], told["cudnn_benchmark"]) == (True, False)
    set_numerics(TrainingConfig())
    assert not torch.are_deterministic_algorithms_enabled()


def test_debug_watches_the_backward_pass() -> None:
    set_numerics(TrainingConfig(debug=True))
    assert torch.is_anomaly_enabled()
    set_numerics(TrainingConfig())
    assert not torch.is_anomaly_enabled()


def test_layers_that_cannot_obey_are_named() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=2),
        nn.Sequential(nn.AdaptiveAvgPool2d(1)),
    )  # fmt: skip
    assert cannot_obey({"student": network}) == ["student.1 (Upsample)", "student.3.0 (AdaptiveAvgPool2d)"]
