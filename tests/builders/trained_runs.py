"""Run folders of a student that was never trained: settings and checkpoints as a training leaves them."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from pkgs.foundation.config import dump_yaml, strict
from pkgs.foundation.run_folder import RunFolder
from pkgs.models.catalog import build_student
from pkgs.student.config import StudentConfig
from pkgs.training.checkpoints import save_checkpoint

SIZE_PX = 32


def write_run(path: Path, *, name: str = "unet2d", size_px: int = SIZE_PX) -> tuple[RunFolder, nn.Module]:
    """Write a run with checkpoints `last` (seed 1) and `best` (seed 2); return it with its last network."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    settings = {"data": {"root": "nowhere", "size_px": size_px}, "model": {"name": name}}
    folder.config.write_text(dump_yaml(strict(StudentConfig, settings, where="test")))
    last = build_student(name, seed=1)
    for checkpoint, network in (("last", last), ("best", build_student(name, seed=2))):
        save_checkpoint(
            folder.checkpoints,
            checkpoint,
            step=3,
            modules={"student": network},
            state={"loop": {"step": 3}},
        )
    return folder, last.eval()
