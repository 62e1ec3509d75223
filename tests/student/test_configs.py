"""The shipped configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.foundation.config import load_config
from pkgs.student.config import StudentConfig

KE = Path(__file__).parents[2] / "configs" / "ke"
OTHERS = ("teacher_pretrained", "report", "compat")  # of others, and no condition
SHIPPED = sorted(
    path for path in KE.rglob("*.yaml") if path.parent.name != "presets" and path.stem not in OTHERS
)
VARIABLES = {"root": "runs", "seed": "3"}


@pytest.mark.parametrize("path", SHIPPED, ids=[str(path.relative_to(KE)) for path in SHIPPED])
def test_every_config_can_be_read_and_says_how_to_run_it(path: Path) -> None:
    load_config(StudentConfig, path)
    head = path.read_text().split("extends:")[0]
    assert f"configs/ke/{path.relative_to(KE)}" in head
    assert "Hardware:" in head
    assert "Time:" in head
    assert "Score:" in head


@pytest.mark.parametrize("folder", [".", "readme", "folder"])
def test_no_augment_differs_from_the_baseline_in_augmentation_alone(folder: str) -> None:
    baseline = load_config(StudentConfig, KE / folder / "student_baseline.yaml").model_dump()
    other = load_config(StudentConfig, KE / folder / "no_augment.yaml").model_dump()
    assert other.pop("augment") == {"kind": "sections", "spatial": 0, "raw": 0}
    assert baseline.pop("augment") == {"kind": "sections", "spatial": 0.75, "raw": 0.5}
    assert other == baseline


def test_the_demo_is_the_preset_of_the_specification() -> None:
    config = load_config(StudentConfig, KE / "student_baseline.yaml")
    assert (config.training.length, config.training.batch_samples, config.data.size_px) == (
        "300 steps",
        8,
        64,
    )
    assert (config.training.optimiser.lr, config.training.schedule.final_lr) == (1e-2, 1e-5)


def test_the_published_recipe_is_the_preset_readme() -> None:
    config = load_config(StudentConfig, KE / "readme" / "student_baseline.yaml")
    assert config.training.schedule.milestones == ("25 epochs", "50 epochs", "75 epochs")
    assert (config.training.length, config.training.batch_samples) == ("100 epochs", 16)
    assert config.training.optimiser.lr == 1e-3
    assert config.model.name == "swin_unetr"


@pytest.mark.parametrize("folder", [".", "readme", "folder"])
def test_gt_augment_differs_from_the_baseline_in_the_target_alone(folder: str) -> None:
    baseline = load_config(StudentConfig, KE / folder / "student_baseline.yaml").model_dump()
    other = load_config(StudentConfig, KE / folder / "gt_augment.yaml").model_dump()
    assert other.pop("target") == {"corrupt": 0.13}
    baseline.pop("target")
    assert other == baseline


@pytest.mark.parametrize("folder", [".", "readme", "folder"])
@pytest.mark.parametrize("method", ["joint", "split"])
def test_joint_and_split_train_the_student_of_the_baseline_beside_the_teacher_of_the_same_seed(
    folder: str, method: str
) -> None:
    baseline = load_config(StudentConfig, KE / folder / "student_baseline.yaml")
    other = load_config(StudentConfig, KE / folder / f"{method}.yaml", variables=VARIABLES)
    assert other.method == method
    assert other.starting_points["teacher"].run.match("*/teacher_pretrained/seed_3")
    assert other.judge.baseline.endswith("/student_baseline/seed_3")
    for name in ("data", "model", "augment", "target", "training", "preset"):
        assert getattr(other, name) == getattr(baseline, name)


@pytest.mark.parametrize(("folder", "preset"), [(".", "demo"), ("readme", "readme"), ("folder", "folder")])
def test_the_preset_is_named_for_the_report(folder: str, preset: str) -> None:
    assert load_config(StudentConfig, KE / folder / "student_baseline.yaml").preset == preset
