"""A run folder belongs to one training at a time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pkgs.training.run_lock import sole_trainer


def test_a_second_training_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with (
        sole_trainer(tmp_path),
        pytest.raises(ValueError, match=r"another process trains in this folder.*--run-dir"),
        sole_trainer(tmp_path),
    ):
        pass


def test_the_folder_is_free_after_the_end_also_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), sole_trainer(tmp_path):
        raise KeyError
    with sole_trainer(tmp_path):
        pass


def test_a_killed_training_leaves_the_folder_free(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with sole_trainer(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with sole_trainer(tmp_path):
        pass
