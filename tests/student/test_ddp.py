"""`python -m pkgs.student` in two processes, through torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pkgs.student.__main__ import main
from pkgs.training import ranks
from pkgs.training.ranks import Ranks
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.ranks import in_ranks
from tests.builders.teacher_runs import write_teacher_run
from tests.student import test_joint
from tests.student.test_main import ROOT, config_for, own_signals_and_threads, rows_of, weights_of, words

__all__ = ["own_signals_and_threads"]

DDP = ["--set", "training.parallel=ddp", "--set", "training.processes=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=8)


def command_for(data: Path, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "pkgs.student", *words(config_for(data, folder), folder / "run", *more)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow  # the quick twin is tests/training/test_ranks.py
def test_two_processes_train_as_one_and_rank_zero_alone_writes(data: Path, tmp_path: Path) -> None:
    runs = {"one": [], "two": DDP}
    for name, more in runs.items():
        asked = subprocess.run(
            command_for(data, tmp_path / name, "--set", "training.log_every='1 steps'", *more),
            cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
    one, two = (rows_of(tmp_path / name / "run/train.csv") for name in runs)
    assert [row["step"] for row in two] == [row["step"] for row in one]
    assert all(
        float(a["loss"]) == pytest.approx(float(b["loss"]), abs=1e-5) for a, b in zip(one, two, strict=True)
    )
    scores = [rows_of(tmp_path / name / "run/val.csv") for name in runs]
    assert all(
        float(a["iou"]) == pytest.approx(float(b["iou"]), abs=1e-4) for a, b in zip(*scores, strict=True)
    )
    a, b = weights_of(tmp_path / "one/run"), weights_of(tmp_path / "two/run")
    assert all(torch.allclose(a[key], b[key], atol=1e-4) for key in a)
    assert len(rows_of(tmp_path / "two/run/test.csv")) == len(rows_of(tmp_path / "one/run/test.csv"))


def test_joint_in_two_processes_trains_as_in_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = write_teacher_run(tmp_path / "teacher")
    one, two = (test_joint.command(data, tmp_path / name, "joint", teacher) for name in ("one", "two"))
    assert main(one) == 0

    def train(mine: Ranks) -> object:  # in a process of its own
        monkeypatch.setattr(ranks, "join", lambda *_, **__: mine)
        monkeypatch.setattr(Ranks, "leave", lambda *_, **__: None)
        return main(two)

    assert in_ranks(tmp_path / "meet", train) == [0, 0]
    test_joint.assert_trained_alike(tmp_path / "one/run", tmp_path / "two/run")
    scores = [rows_of(tmp_path / name / "run/test.csv") for name in ("one", "two")]
    assert [row["images"] for row in scores[1]] == [row["images"] for row in scores[0]]


def test_sigterm_to_the_command_stops_all_processes_and_exits_143(data: Path, tmp_path: Path) -> None:
    steps = ["--set", "training.length='100000 steps'", "--set", "training.schedule.name=constant"]
    process = subprocess.Popen(
        command_for(data, tmp_path, *steps, *DDP), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/train.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 143
    state = torch.load(tmp_path / "run/checkpoints/last/state.pt", weights_only=True)
    assert state["loop"]["step"] > 0
    assert len(state["generators"]) == 2
