"""The shipped configurations of the teacher."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pkgs.foundation.config import load_config
from pkgs.teacher.config import PretrainingConfig

KE = Path(__file__).parents[2] / "configs" / "ke"
SHIPPED = sorted(KE.rglob("teacher_pretrained.yaml"))
PRESETS = {".": "demo", "readme": "readme", "folder": "folder"}


@pytest.mark.parametrize("path", SHIPPED, ids=[str(path.relative_to(KE)) for path in SHIPPED])
def test_every_config_can_be_read_and_says_how_to_run_it(path: Path) -> None:
    load_config(PretrainingConfig, path)
    head = path.read_text().split("preset:")[0]
    assert f"configs/ke/{path.relative_to(KE)}" in head
    for word in ("Hardware:", "Time:", "Score:"):
        assert word in head


@pytest.mark.parametrize("folder", PRESETS)
def test_it_sees_the_same_images_split_and_draws_as_the_students_of_its_preset(folder: str) -> None:
    preset = yaml.safe_load((KE / "presets" / f"{PRESETS[folder]}.yaml").read_text())
    mine = yaml.safe_load((KE / folder / "teacher_pretrained.yaml").read_text())
    assert mine["data"] == preset["data"]
    assert mine["augment"] == preset["augment"]
    for key in ("length", "batch_samples"):
        assert mine["training"][key] == preset["training"][key]


def test_the_published_ratio_is_one_to_nine() -> None:
    for path in SHIPPED:
        assert load_config(PretrainingConfig, path).teacher.weight == 0.9
