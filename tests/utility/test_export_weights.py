"""Weights under their published names."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pkgs.training.checkpoint_folder import publish
from utility.export_weights import app, published_name


def write_run(run: Path, *modules: str, finished: bool = True) -> None:
    files = {f"{name}.safetensors": f"{run.parent.name} {name}".encode() for name in modules}
    publish(run / "checkpoints", "last", step=1, files={**files, "state.pt": b"s"})
    if finished:
        (run / "test.csv").write_text("weights,source\nlast,pooled\n")


@pytest.mark.parametrize(
    ("module", "condition", "name"),
    [
        ("student", "student_baseline", "student_baseline_3"),
        ("teacher", "joint", "teacher_joint_3"),
        ("student", "joint", "student_joint_3"),
        ("teacher", "teacher_pretrained", "teacher_pretrained_3"),
    ],
)
def test_names_are_those_of_the_published_study(module: str, condition: str, name: str) -> None:
    assert published_name(module, condition=condition, seed="3") == name


def test_finished_runs_are_copied_and_the_others_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "ke/student_baseline/seed_3", "student")
    write_run(tmp_path / "ke/joint/seed_13", "student", "teacher")
    write_run(tmp_path / "ke/joint/seed_4", "student", "teacher", finished=False)
    asked = CliRunner().invoke(app, ["ke", "--root", str(tmp_path), "--out", str(tmp_path / "out")])
    assert asked.exit_code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "student_baseline_3.safetensors", "student_joint_13.safetensors", "teacher_joint_13.safetensors",
    }  # fmt: skip
    assert (tmp_path / "out/teacher_joint_13.safetensors").read_bytes() == b"joint teacher"
    assert "joint/seed_4: left out, it has not finished." in asked.output


def test_a_study_without_finished_runs_is_an_error(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["ke", "--root", str(tmp_path), "--out", str(tmp_path / "out")])
    assert asked.exit_code == 2
    assert "no finished run with seeds" in asked.output
