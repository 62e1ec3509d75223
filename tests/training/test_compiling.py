"""torch.compile, and what happens where it does not work."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor, nn

from pkgs.training.compiling import Compiled, compiled

CUDA = torch.device("cuda")


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 1:
            raise ValueError("expected one axis")
        return 2 * x


def test_it_is_left_alone_on_a_cpu_and_when_off() -> None:
    network, said = Doubled(), []
    assert compiled(network, "auto", device=torch.device("cpu"), say=said.append) is network
    assert compiled(network, "off", device=CUDA, say=said.append) is network
    assert said == []


def test_without_a_compiler_it_runs_as_it_is_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    network, said = Doubled(), []
    assert compiled(network, "auto", device=CUDA, say=said.append) is network
    assert "no C++ compiler found (CXX, g++, clang++)" in said[0]
    assert "Install g++" in said[0]


def test_any_compile_error_falls_back_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def broken(*_: object) -> Tensor:
        calls.append(1)
        raise RuntimeError("C++ compile error\nmuch text")

    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/g++")
    monkeypatch.setattr(torch, "compile", lambda _: broken)
    said: list[str] = []
    network = compiled(Doubled(), "auto", device=CUDA, say=said.append)
    for _ in range(3):
        assert torch.equal(network(torch.ones(2)), torch.full((2,), 2.0))
    assert len(calls) == len(said) == 1
    assert "RuntimeError: C++ compile error); the network runs as it is" in said[0]


def test_what_compiles_is_used_and_the_networks_own_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda forward: lambda x: forward(x) + 1)
    said: list[str] = []
    network = Compiled(Doubled(), say=said.append)
    assert torch.equal(network(torch.ones(1)), torch.full((1,), 3.0))
    with pytest.raises(ValueError, match="expected one axis"):
        network(torch.ones(1, 1))
    assert torch.equal(network(torch.ones(1)), torch.full((1,), 3.0))  # still compiled
    assert said == []
