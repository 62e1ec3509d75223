"""How much room there is for a packed file, asked before anything is mapped. Tests pass in smaller worlds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone"}
)
MEMORY: Final = frozenset({"tmpfs", "ramfs"})
KIB: Final = 1024


class NoPlaceError(Exception):
    """No packed file can be had; the message says why, and the cure."""


def free_bytes(folder: Path) -> int:
    """Return what this user may still write below `folder`."""
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


def reserve(descriptor: int, nbytes: int) -> None:
    """Take room on the disk for good: a sparse map on a full disk dies of SIGBUS instead of an error."""
    os.posix_fallocate(descriptor, 0, nbytes)


def filesystem_of(folder: Path) -> str:
    """Return the type of the file system that holds `folder`, such as `ext4`; empty if unknown."""
    best, kind = "", ""
    place = os.path.realpath(folder)
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, mount, form, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if len(mount) >= len(best) and (place + "/").startswith(mount.rstrip("/") + "/"):
            best, kind = mount, form
    return kind


def free_memory() -> int:
    """Return the bytes of memory that new programs can have; a file in /dev/shm takes from these."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    return int(found["MemAvailable"].split()[0]) * KIB


@dataclass(frozen=True, slots=True)
class Room:
    """What is asked of the machine."""

    free_bytes: Callable[[Path], int] = free_bytes
    reserve: Callable[[int, int], None] = reserve
    filesystem_of: Callable[[Path], str] = filesystem_of
    free_memory: Callable[[], int] = free_memory

    def available(self, folder: Path) -> int:
        """Return the bytes for a new file in `folder`; in a memory disk not more than there is memory."""
        free = self.free_bytes(folder)
        return min(free, self.free_memory()) if self.filesystem_of(folder) in MEMORY else free


def readable(nbytes: float) -> str:
    """Return a size for people, such as `3.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < KIB:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= KIB
    return f"{nbytes:.1f} TiB"
