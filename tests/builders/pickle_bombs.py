"""Files of weights that would run a command if they were unpickled without care."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import torch


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def write_zipped_bomb(path: Path, *, mark: Path) -> Path:
    """Write it as torch saves today: weights beside the bomb."""
    torch.save({"conv1.weight": torch.zeros(2), "extra": Bomb(mark)}, path)
    return path


def write_plain_bomb(path: Path, *, mark: Path) -> Path:
    """Write it as plain pickle."""
    path.write_bytes(pickle.dumps({"conv1.weight": Bomb(mark)}))
    return path


def write_legacy_bomb(path: Path, *, mark: Path) -> Path:
    """Write it as torch saved before its version 1.6."""
    torch.save({"conv1.weight": Bomb(mark)}, path, _use_new_zipfile_serialization=False)
    return path
