"""What kills the processes of a study: who dies, where and how follows from the seed alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.studies import DEADLY

FILES = 20
PROGRAM = f"import pathlib, sys; [pathlib.Path(sys.argv[1], str(k)).write_bytes(b'') for k in range({FILES})]"


def run(folder: Path, *, seed: int | None, attempt: int = 1) -> int:
    """Let a process that calls itself a run of a study write its files; return its exit code."""
    out = folder / "out"
    for place in (out, folder / f"run/attempts/{attempt}"):
        place.mkdir(parents=True, exist_ok=True)
    deadly = {
        "PYTHONPATH": str(DEADLY), "DEADLY_BELOW": f"{out}/", "DEADLY_TOTALS": str(folder / "acts.tsv"),
        "DEADLY_LOG": str(folder / "strikes.tsv"), "QUEUE_JOB": "ke/joint", "QUEUE_SEED": "3",
        "QUEUE_RUN_DIR": str(folder / "run"), **({} if seed is None else {"DEADLY_SEED": str(seed)}),
    }  # fmt: skip
    # a shell above it: a shim that is struck must not be the test
    words = ["sh", "-c", '"$0" -c "$1" "$2"; exit $?', sys.executable, PROGRAM, str(out)]
    return subprocess.run(words, env={**os.environ, **deadly}, check=False).returncode


def test_without_a_seed_acts_are_counted_and_nobody_dies(tmp_path: Path) -> None:
    assert run(tmp_path, seed=None) == 0
    assert (tmp_path / "acts.tsv").read_text().split("\t")[-1] == f"{FILES}\n"
    assert not (tmp_path / "strikes.tsv").exists()


@pytest.mark.parametrize("seed", range(6))
def test_a_first_attempt_dies_at_the_same_act_in_the_same_way_each_time(tmp_path: Path, seed: int) -> None:
    told = []
    for name in ("a", "b"):
        run(tmp_path / name, seed=None)
        code = run(tmp_path / name, seed=seed)
        _, program, act, how, event, path = (tmp_path / name / "strikes.tsv").read_text().split("\t")
        assert program == f"-c {PROGRAM}"
        assert code == {"SIGKILL": 137, "SIGTERM": 143, "shim": -signal.SIGKILL}[how]
        assert int(path) == int(act) - 1
        told.append((code, act, how, event))
    assert told[0] == told[1]


def test_a_fourth_attempt_is_spared(tmp_path: Path) -> None:
    run(tmp_path, seed=None)
    assert run(tmp_path, seed=1, attempt=4) == 0
