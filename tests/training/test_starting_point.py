"""Checkpoints of other runs from which one starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pkgs.foundation.run_folder import RunFolder
from pkgs.training.checkpoint_folder import publish
from pkgs.training.starting_point import StartingPoint, changed_inputs, faults_of


def write_run(folder: Path, *, weights: bytes = b"w", finished: bool = True) -> StartingPoint:
    """Write what a finished run of a teacher leaves, as far as it is looked at."""
    publish(folder / "checkpoints", "last", step=3, files={"teacher.safetensors": weights})
    if finished:
        (folder / "test.csv").write_text("weights,source\nlast,pooled\n")
    return StartingPoint(folder, "teacher")


def test_a_finished_run_has_no_fault_and_the_digest_of_its_weights(tmp_path: Path) -> None:
    first, other = write_run(tmp_path / "a"), write_run(tmp_path / "b", weights=b"v")
    assert first.fault() is None
    assert len(first.digest()) == 16
    assert first.digest() != other.digest()


def test_a_run_that_is_missing_unfinished_damaged_or_of_another_method_is_one_sentence(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "unfinished", finished=False)
    damaged = write_run(tmp_path / "damaged")
    (damaged.file).write_bytes(b"cut")
    write_run(tmp_path / "other")
    points = {
        "missing": StartingPoint(tmp_path / "nowhere", "teacher"),
        "unfinished": StartingPoint(tmp_path / "unfinished", "teacher"),
        "damaged": damaged,
        "other": StartingPoint(tmp_path / "other", "student"),
    }
    missing, unfinished, cut, other = faults_of(points)
    assert "has no checkpoint 'last'. Train it first (in Jobs.csv: name its row under `after`)" in missing
    assert "has not come to its end" in unfinished
    assert "teacher.safetensors is damaged" in cut
    assert "has no student.safetensors" in other


def test_a_missing_run_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Train it first"):
        StartingPoint(tmp_path / "nowhere", "teacher").digest()


def test_inputs_that_changed_since_a_run_began_are_named(tmp_path: Path) -> None:
    point = write_run(tmp_path / "teacher")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    assert changed_inputs(folder, {"teacher": point}) == []
    folder.provenance.write_text(json.dumps({"inputs": {"teacher": point.digest()}}))
    assert changed_inputs(folder, {"teacher": point}) == []
    write_run(tmp_path / "teacher", weights=b"v")
    (told,) = changed_inputs(folder, {"teacher": point})
    assert "its inputs have changed since it began (teacher was " in told
    assert "status rerun" in told
