"""Starting the processes of a run; see also tests/student/test_ddp.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pkgs.training import launch
from pkgs.training.config import TrainingConfig

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_ddp_on_one_device_is_refused_with_the_ways_out() -> None:
    with pytest.raises(ValueError, match=r"there is no GPU.*training\.processes to 2.*parallel: none"):
        launch.processes_to_start(TrainingConfig(parallel="ddp"), device=CPU)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="processes is 3, but torch sees 2 GPUs"):
        launch.processes_to_start(TrainingConfig(parallel="ddp", processes=3), device=CUDA)
    assert launch.processes_to_start(TrainingConfig(parallel="ddp"), device=CUDA) == 2


def test_only_the_plain_command_under_ddp_starts_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(parallel="ddp", processes=2)
    assert launch.processes_to_start(config, device=CPU) == 2
    assert launch.processes_to_start(TrainingConfig(), device=CPU) == 0
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("MASTER_PORT", "1")
    assert launch.processes_to_start(config, device=CPU) == 0


@pytest.mark.parametrize(
    ("rank", "code", "returned"), [("0", 143, 0), ("1", 143, 0), ("1", 81, 0), ("1", 2, 2)]
)
def test_the_first_process_notes_its_code_and_the_others_only_fail_for_errors_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str, code: int, returned: int
) -> None:
    monkeypatch.setenv(launch.NOTE, str(tmp_path / "note"))
    monkeypatch.setenv("RANK", rank)
    assert launch.note_exit_code(code) == returned
    assert (tmp_path / "note").exists() == (rank == "0")


def test_alone_the_code_stays_as_it_is() -> None:
    assert launch.note_exit_code(143) == 143
