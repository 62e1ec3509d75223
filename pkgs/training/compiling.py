"""torch.compile where it helps, and the network as it is where it does not work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any, final

import torch
from torch import nn

COMPILERS = ("g++", "clang++", "c++")


@final
class Compiled(nn.Module):
    """A network behind torch.compile. Whatever fails there runs eagerly from then on, with one warning.

    Weights keep their names: the compiled twin shares them and is no submodule.
    """

    def __init__(self, network: nn.Module, *, say: Callable[[str], None]) -> None:
        super().__init__()
        self.network = network
        self._say = say
        self._fast: Callable[..., Any] | None = torch.compile(network.forward)

    def forward(self, *inputs: Any) -> Any:  # noqa: ANN401 - whatever the network takes and returns
        if self._fast is not None:
            try:
                return self._fast(*inputs)
            except Exception as error:  # noqa: BLE001 - eagerly, the network's own errors come again
                answer = self.network(*inputs)
                self._fast = None
                self._say(
                    "Warning: training.compile: torch.compile failed "
                    f"({type(error).__name__}: {_first_line(error)}); the network runs as it is."
                )
                return answer
        return self.network(*inputs)


def compiled(network: nn.Module, wish: str, *, device: torch.device, say: Callable[[str], None]) -> nn.Module:
    """Return the network as `wish` (`off` or `auto`) has it; `auto` compiles on CUDA, given a compiler."""
    if wish == "off" or device.type != "cuda":
        return network
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name):
        say(
            "Warning: training.compile: no C++ compiler found (CXX, g++, clang++); the network runs as it "
            "is. Install g++, or set training.compile: 'off'."
        )
        return network
    return Compiled(network, say=say)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
