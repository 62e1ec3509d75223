"""The tables that ship: every row, config and path of theirs is right before anything has run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TABLES = ("Jobs.csv", "configs/ke/Jobs.csv", "configs/ke/ablation.csv", "configs/noise/Jobs.csv")


def manager(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "QueueManager.py", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("table", TABLES)
def test_check_misses_nothing_that_an_earlier_row_does_not_make(table: str, tmp_path: Path) -> None:
    done = manager("check", "--jobs", table, "--root", str(tmp_path / "runs"), "--json")
    assert json.loads(done.stdout)["problems"] == []
    assert done.returncode == 0


@pytest.mark.parametrize("table", TABLES)
def test_plan_finds_a_place_for_every_run_on_eight_gpus(table: str, tmp_path: Path) -> None:
    done = manager("plan", "--jobs", table, "--root", str(tmp_path / "runs"), "--gpus", "sim:8x80G")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/report  a CPU slot" in done.stdout
    assert "refused" not in done.stdout


def test_a_teacher_that_no_row_trains_is_missed(tmp_path: Path) -> None:
    table = tmp_path / "Jobs.csv"
    command = "python -m pkgs.student --config configs/ke/expansion.yaml"
    table.write_text(f"id,command,seeds\nke/expansion,{command},3\n")
    done = manager("check", "--jobs", str(table), "--root", str(tmp_path / "runs"), "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert "has no checkpoint 'last'. Train it first" in problem
