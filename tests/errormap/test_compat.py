"""The switches as files: all of them, those of the old preset, and each alone in a table of jobs."""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pkgs.errormap.compat import CompatConfig
from pkgs.foundation.config import load_config
from pkgs.reports.plan import read_plan
from pkgs.student.config import StudentConfig
from pkgs.teacher.config import PretrainingConfig

ROOT = Path(__file__).parents[2]
KE = ROOT / "configs" / "ke"
ALL = dict.fromkeys(CompatConfig.model_fields, True)
READS = {"pkgs.teacher": ("teacher", "errormap"), "pkgs.student": ("student", "errormap")}


def rows() -> dict[str, dict[str, str]]:
    with (KE / "ablation.csv").open(newline="") as file:
        return {row["id"].removeprefix("ke_ablation/"): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("layer", ["compat.yaml", "presets/history.yaml"])
@pytest.mark.parametrize("condition", ["teacher_pretrained", "joint", "expansion"])
def test_a_condition_takes_up_every_switch_of_the_file(condition: str, layer: str) -> None:
    section = PretrainingConfig if condition == "teacher_pretrained" else StudentConfig
    config = load_config(section, KE / "readme" / f"{condition}.yaml", overrides=[f"@{KE / layer}"])
    assert config.compat.model_dump() == ALL


def test_the_old_preset_is_that_of_the_specification() -> None:
    config = load_config(
        StudentConfig, KE / "readme" / "joint.yaml", overrides=[f"@{KE / 'presets/history.yaml'}"]
    )
    split, training = config.data.split, config.training
    assert (split.by, split.seed, split.train, split.val, split.test) == ("patch", 13, 0.15, 0.15, 0.70)
    assert (training.length, training.batch_samples) == ("300 epochs", 128)
    assert (training.optimiser.lr, training.schedule.name) == (1e-2, "constant")
    assert config.teacher.weight == 1


def test_every_switch_stands_in_the_ablation_with_a_method_that_reads_it() -> None:
    found = set()
    for row in rows().values():
        for switch in row["conditions"].split():
            module = shlex.split(row["command"])[2]
            code = "".join(
                file.read_text() for folder in READS[module] for file in (ROOT / "pkgs" / folder).glob("*.py")
            )
            assert f".{switch}" in code
            found.add(switch)
    assert found == set(CompatConfig.model_fields)


def test_each_ablation_differs_from_its_sound_row_by_the_switch_alone() -> None:
    table = rows()
    for name in [name for name, row in table.items() if row["conditions"]]:
        row, sound = table[name], table[f"{name}_sound"]
        assert row["command"] == f"{sound['command']} --set compat.{{condition}}=true"
        assert (row["seeds"], row["after"]) == (sound["seeds"], sound["after"])
        assert row["seeds"] == "3 4 13"


def test_the_plan_compares_every_ablation_of_a_student_with_its_sound_row() -> None:
    plan = read_plan(ROOT / "configs" / "ke_ablation" / "report.yaml")
    expected = {
        (f"{name}/{switch}", f"{name}_sound")
        for name, row in rows().items()
        for switch in row["conditions"].split()
        if name != "teacher_pretrained"
    }
    assert set(plan.pairs) == expected


def test_the_queue_finds_nothing_wrong_with_the_table(tmp_path: Path) -> None:
    words = ["check", "--jobs", str(KE / "ablation.csv"), "--root", str(tmp_path)]
    told = subprocess.run(
        [sys.executable, "QueueManager.py", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
