"""What a finished pretraining of an error teacher leaves, without the training."""

from __future__ import annotations

from pathlib import Path

from pkgs.models.error_teacher import build_error_teacher
from pkgs.training.checkpoints import save_checkpoint


def write_teacher_run(run: Path, *, size_px: int = 32, seed: int = 3, step: int = 4) -> Path:
    """Write a run folder with a light teacher of random weights and return it."""
    run.mkdir(parents=True, exist_ok=True)
    teacher = build_error_teacher("vit_error_map_light", seed=seed, size_px=size_px)
    for name in ("last", "best"):
        save_checkpoint(
            run / "checkpoints", name, step=step, modules={"teacher": teacher}, state={"loop": {"step": step}}
        )
    (run / "test.csv").write_text("weights,source\nlast,pooled\n")
    return run
