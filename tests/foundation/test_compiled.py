"""Compiled functions: kept for the next process wherever there is a folder, and right without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from pkgs.foundation.compiled import Compiled

@Compiled
def total(count):
    found = 0
    for number in range(count):
        found += number
    return found
"""
ASK = """
import json, sys
from numba.core import event
with event.install_recorder("numba:compile") as seen:
    from kept import total
    found = total(5)
print(json.dumps([found, len(seen.buffer)]))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "kept.py").write_text(MODULE)
    return folder


def start(source: Path, cache: Path) -> subprocess.Popen[str]:
    """Start a process that calls the function; its own folders are as if the project could not be written."""
    homeless = {"HOME": str(cache), "XDG_CACHE_HOME": str(cache), "PYTHONPATH": f"{ROOT}:{source}"}
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"} | homeless
    return subprocess.Popen(
        [sys.executable, "-c", ASK],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Return what the function gave, and how much was compiled."""
    out, errors = process.communicate(timeout=120)
    assert errors == ""
    found, compiled = json.loads(out)
    return found, compiled


def not_writable(folder: Path) -> None:
    """Have numba find no room beside the source, also where the tests run as root."""
    (folder / "__pycache__").write_text("a file stands in the way")


def test_the_second_process_compiles_nothing(source: Path, tmp_path: Path) -> None:
    assert answer(start(source, tmp_path / "cache"))[0] == 10
    assert answer(start(source, tmp_path / "cache")) == (10, 0)


def test_a_project_that_cannot_be_written_is_kept_in_the_user_s_folder(source: Path, tmp_path: Path) -> None:
    not_writable(source)
    cache = tmp_path / "cache"
    assert answer(start(source, cache))[1] > 0
    assert list(cache.rglob("kept.total*.nbi"))
    assert answer(start(source, cache)) == (10, 0)


def test_two_processes_at_once_are_right(source: Path, tmp_path: Path) -> None:
    both = [start(source, tmp_path / "cache") for _ in range(2)]
    assert [answer(process)[0] for process in both] == [10, 10]
    assert answer(start(source, tmp_path / "cache")) == (10, 0)


def test_without_any_folder_each_process_compiles_and_nothing_is_said(source: Path, tmp_path: Path) -> None:
    not_writable(source)
    (tmp_path / "cache").write_text("a file, not a folder")
    found, compiled = answer(start(source, tmp_path / "cache"))
    assert found == 10
    assert compiled > 0
