"""Starting one process per device through torchrun, from the plain command, and being one process to others.

The queue and people start `python -m pkgs.<method>`; where `training.parallel` is ddp that process starts
the others, passes SIGTERM on, and ends with the exit code of the first of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from pkgs.foundation import exit_codes
from pkgs.training.config import TrainingConfig
from pkgs.training.ranks import under_torchrun
from pkgs.training.stop import StopRequest

NOTE: Final = "QUEUE_DDP_NOTE"
"""Environment variable with the file for the first process's exit code: torchrun makes 1 of every failure."""
LOOK_EVERY_S: Final = 0.1


def processes_to_start(config: TrainingConfig, *, device: torch.device) -> int:
    """Return how many processes this one must start, 0 if it does the work itself.

    Raises:
        ValueError: If ddp was asked for and there is one device, or fewer cards than processes.
    """
    if config.parallel != "ddp" or under_torchrun():
        return 0
    cards = torch.cuda.device_count() if device.type == "cuda" else 0
    wanted = config.processes or cards
    if wanted < 2:
        there = "one GPU" if cards == 1 else "no GPU"
        raise ValueError(
            f"training.parallel is ddp, but there is {there} and training.processes is {config.processes}. "
            "Make more GPUs visible, set training.processes to 2 or more (on a CPU), or set parallel: none."
        )
    if device.type == "cuda" and wanted > cards:
        raise ValueError(
            f"training.processes is {wanted}, but torch sees {cards} GPUs. Set it to {cards} or 0."
        )
    return wanted


def run_through_torchrun(module: str, argv: Sequence[str], *, processes: int, stop: StopRequest) -> int:
    """Run `python -m module argv` in `processes` processes and return the exit code of the first."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "exit_code"
        start = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        child = subprocess.Popen(
            [sys.executable, "-m", *start, "-m", module, *argv],
            env={"OMP_NUM_THREADS": "1", **os.environ, NOTE: str(note)},
        )
        told = False
        while True:
            try:
                code = child.wait(timeout=LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                if stop.asked and not told:
                    child.terminate()  # torchrun passes it on and waits for the processes to save
                    told = True
        if note.exists():
            return int(note.read_text())
        return exit_codes.FAILED if code else exit_codes.OK


def note_exit_code(code: int) -> int:
    """Leave the first process's code for the one that started torchrun; return what this one exits with.

    Torchrun takes every code but 0 for a crash, prints its trace and ends the others: only errors are that.
    """
    if NOTE not in os.environ:
        return code
    if os.environ.get("RANK") == "0":
        Path(os.environ[NOTE]).write_text(str(code))
    return exit_codes.OK if code in {exit_codes.STOPPED, exit_codes.NAN} else code
