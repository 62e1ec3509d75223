"""`doctor`: what of this machine may stand in the queue's way.

GPUs, NVML, disk, shared memory, versions, rights.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, RootOption
from pkgs.jobqueue.devices.inventory import gib
from pkgs.jobqueue.devices.leases import default_folder
from pkgs.jobqueue.devices.nvml import NvmlSource
from pkgs.jobqueue.manager.root_lock import is_held, read_holder
from pkgs.jobqueue.state.state import NETWORK_FILE_SYSTEMS, State, StateError, file_system_of

EXAMPLES = "Example: python QueueManager.py doctor"
SHM_NEEDED_MIB = 1024
"""Data loaders with worker processes pass batches through /dev/shm; containers often give it 64 MiB."""
DISK_NEEDED_MIB = 10_240


class Finding(NamedTuple):
    """One line of the doctor's."""

    fine: bool
    text: str


def doctor(*, jobs: JobsOption = JOBS, root: RootOption = ROOT) -> int:
    """Look at this machine with the queue's eyes. Exit code 1 if something needs attention."""
    findings = [*_machine(), *_gpus(), *_disk(root), *_rights(jobs, root), *_queue(root)]
    for finding in findings:
        print(f"{'ok  ' if finding.fine else 'LOOK'}  {finding.text}")
    return exit_codes.OK if all(finding.fine for finding in findings) else exit_codes.FAILED


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    yield Finding(fine=True, text=f"{platform.platform()}, {cores} cores, {gib(memory_mib)} memory")
    yield Finding(fine=sys.version_info >= (3, 11), text=f"Python {sys.version.split()[0]}, {sys.executable}")
    for package in ("torch", "monai", "nvidia-ml-py", "pydantic"):
        try:
            yield Finding(fine=True, text=f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(fine=False, text=f"{package} is not installed: `make run` installs it into .venv")
    for tool, use in (
        ("bash", "runs every command"),
        ("git", "names the commit of a run"),
        ("tmux", "keeps the queue"),
    ):
        where = shutil.which(tool)
        needed = tool == "bash"
        yield Finding(fine=where is not None or not needed, text=f"{tool} ({use}): {where or 'not found'}")


def _gpus() -> Iterator[Finding]:
    source = NvmlSource()
    inventory = source.read()
    source.close()
    if inventory.problem:
        yield Finding(fine=False, text=inventory.problem)
    if inventory.kind == "none":
        yield Finding(fine=True, text="no GPU: CPU slots stand in for the GPUs that rows ask for")
    for reading in inventory.readings:
        memory = "memory unknown" if reading.total_mib is None else gib(reading.total_mib)
        fault = f"; {reading.fault}" if reading.fault else ""
        text = f"GPU {reading.index} {reading.name} {memory} {reading.uuid}{fault}"
        yield Finding(fine=not reading.fault, text=text)
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        yield Finding(fine=True, text=f"CUDA_VISIBLE_DEVICES={given!r} bounds what the queue hands out")
    yield Finding(fine=True, text=f"device leases lie in {default_folder()}, the same for all users")


def _disk(root: Path) -> Iterator[Finding]:
    place = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.exists())
    free_mib = shutil.disk_usage(place).free // 2**20
    yield Finding(fine=free_mib >= DISK_NEEDED_MIB, text=f"{gib(free_mib)} free for {root}")
    kind = file_system_of(place)
    network = kind in NETWORK_FILE_SYSTEMS
    advice = ": a network disk; a local --root is faster and safer" if network else ""
    yield Finding(fine=not network, text=f"{root} lies on {kind}{advice}")
    shm = Path("/dev/shm")  # noqa: S108 - looked at, not written to
    if shm.exists():
        shm_mib = shutil.disk_usage(shm).total // 2**20
        cure = "" if shm_mib >= SHM_NEEDED_MIB else "; start the container with --shm-size=8g or --ipc=host"
        yield Finding(fine=shm_mib >= SHM_NEEDED_MIB, text=f"{shm} has {gib(shm_mib)}{cure}")


def _rights(jobs: Path, root: Path) -> Iterator[Finding]:
    for path in (jobs, root):
        place = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        fine = os.access(place, os.W_OK)
        yield Finding(fine=fine, text=f"{path} {'can' if fine else 'cannot'} be written")


def _queue(root: Path) -> Iterator[Finding]:
    folder = root / "queue"
    if is_held(folder):
        holder = read_holder(folder / "manager.lock") or {}
        who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        yield Finding(fine=True, text=f"a manager runs, {who}")
    try:
        state = State.read(folder / "queue.sqlite")
    except StateError as error:
        yield Finding(fine=False, text=str(error))
    else:
        if state is not None:
            yield Finding(fine=True, text=f"{folder / 'queue.sqlite'} can be read")
            state.close()
