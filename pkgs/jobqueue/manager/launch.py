"""From a planned start to what the attempt is given: command, environment, folder, record."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.attempts.attempts import LaunchSpec
from pkgs.jobqueue.devices.visible import device_environment
from pkgs.jobqueue.manager.book import Entry
from pkgs.jobqueue.manager.code_digests import CodeDigests
from pkgs.jobqueue.state.records import Attempt
from pkgs.jobqueue.table.placeholders import fill_command
from pkgs.jobqueue.vocabulary import Job, RunKey

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Threads:
    """How the cores are shared: the sum over all runs that can run at once never exceeds them."""

    per_cpu_run: int
    per_gpu: int


def share_threads(*, cores: int, cpu_slots: int, gpus: int) -> Threads:
    """Divide the cores: a CPU slot beside GPUs is worth one core, the rest belongs to the GPUs."""
    if not gpus:
        return Threads(per_cpu_run=max(1, cores // max(1, cpu_slots)), per_gpu=1)
    left = max(0, cores - cpu_slots)
    return Threads(per_cpu_run=1, per_gpu=max(1, left // gpus))


@final
class Launcher:
    """Knows the root, the working folder and the machine; makes a LaunchSpec of a start."""

    def __init__(
        self, root: Path, *, cwd: Path, digests: CodeDigests, threads: Threads, grace_s: float
    ) -> None:
        self.root = root
        self.cwd = cwd
        self.digests = digests
        self.threads = threads
        self.grace_s = grace_s
        self.device_indices: Mapping[str, str] | None = None
        """By UUID, where programs are given indices instead of UUIDs."""

    def folder(self, key: RunKey) -> RunFolder:
        return RunFolder.of(self.root, key.job, condition=key.condition, seed=key.seed)

    def code_of(self, command: str, *, now_unix_s: float) -> dict[str, str]:
        """Return commit and digests of the files that the command names."""
        commit = self.digests.commit(now_unix_s=now_unix_s)
        found = self.digests.files(command)
        return {"commit": commit, **found} if commit else found

    def spec(self, entry: Entry, attempt: Attempt, *, lease_fds: tuple[int, ...]) -> LaunchSpec:
        """Return everything that the attempt needs to start.

        Args:
            entry: Its job; the row must be valid.
            attempt: As it was written down.
            lease_fds: Open locks on its devices, to be inherited by its shim.
        """
        assert entry.job is not None, "a row with an error has no runs that could start"
        folder = self.folder(attempt.key)
        command = fill_command(entry.job, attempt.key, folder.path)
        key = attempt.key
        code = self.code_of(command, now_unix_s=attempt.written_unix_s)
        commit = code.pop("commit", None)
        return LaunchSpec(
            attempt=attempt.id,
            folder=folder.attempt(attempt.number),
            run_dir=folder.path,
            command=command,
            cwd=self.cwd,
            environment=self._environment(entry.job, attempt, folder),
            lease_fds=lease_fds,
            grace_s=self.grace_s,
            launch_record={
                "run": {"job": key.job, "condition": key.condition, "seed": key.seed},
                "number": attempt.number,
                "devices": list(attempt.devices),
                "cpu_slots": attempt.cpu_slots,
                "reserve_mib": attempt.reserve_mib,
                "commit": commit,
                "files": code,
            },
        )

    def _environment(self, job: Job, attempt: Attempt, folder: RunFolder) -> dict[str, str]:
        key = attempt.key
        indices = None
        if self.device_indices is not None:
            indices = [self.device_indices[uuid] for uuid in attempt.devices]
        threads = self.threads.per_gpu * len(attempt.devices) or self.threads.per_cpu_run
        environment = {
            "QUEUE_JOB": job.id,
            "QUEUE_CONDITION": key.condition or "",
            "QUEUE_SEED": "" if key.seed is None else str(key.seed),
            "QUEUE_RUN_DIR": str(folder.path),
            "QUEUE_ROOT": str(self.root),
            "QUEUE_ATTEMPT": attempt.id,
            "PYTHONUNBUFFERED": "1",
            **dict.fromkeys(THREAD_VARIABLES, str(threads)),
            **device_environment(attempt.devices, indices=indices),
        }
        if sys.prefix != sys.base_prefix and "VIRTUAL_ENV" not in os.environ:
            # Started as .venv/bin/python without activating: `python` in a row means this very interpreter.
            environment["PATH"] = (
                f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
            )
        return environment
