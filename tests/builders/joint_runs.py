"""Run folders of finished `joint` runs that were never trained: a student, a teacher, and test.csv."""

from __future__ import annotations

from pathlib import Path

import torch

from pkgs.foundation.run_folder import RunFolder
from pkgs.models.catalog import build_student
from pkgs.models.error_teacher import build_error_teacher
from pkgs.training.checkpoints import save_checkpoint


def write_joint_run(path: Path, *, seed: int, size_px: int = 32) -> Path:
    """Write a run whose teacher believes in small errors, and return its folder."""
    teacher = build_error_teacher("vit_error_map_light", seed=seed, size_px=size_px)
    with torch.no_grad():
        teacher.slope.fill_(3.0)
        teacher.offset.fill_(-3.0)
    path.mkdir(parents=True)
    save_checkpoint(
        RunFolder(path).checkpoints,
        "last",
        step=3,
        modules={"student": build_student("unet2d", seed=seed, foreground_share=0.1), "teacher": teacher},
        state={"loop": {"step": 3}},
    )
    (path / "test.csv").write_text("weights,source,iou\nlast,pooled,.5\n")
    return path
