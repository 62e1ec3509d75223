"""Where a result comes from: commit, uncommitted changes, versions, host, command, data.

`commit_of` and `digest_file` are cheap enough for each start of a run; `collect` is for the run itself.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

DIFF_LIMIT_BYTES = 1_000_000
"""A larger diff is cut: somebody has left data in the working tree."""


def digest_file(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def commit_of(folder: Path) -> str | None:
    """Return the commit that `folder` or a folder above it has checked out; None outside a repository.

    Reads `.git` itself: asking git costs some milliseconds, too much for every start of a run.
    """
    for place in (folder, *folder.parents):
        git = place / ".git"
        if git.is_file():  # a worktree or submodule: `gitdir: <path>`
            git = place / git.read_text().partition(":")[2].strip()
        if git.is_dir():
            return _head(git)
    return None


def _head(git: Path) -> str | None:
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        loose = common / name
        if loose.exists():
            return loose.read_text().strip()
        for line in (common / "packed-refs").read_text().splitlines():
            if line.endswith(" " + name):
                return line.split()[0]
    except OSError:
        return None
    return None


def collect(
    command: Sequence[str],
    *,
    data_fingerprint: str | None = None,
    config_digest: str | None = None,
    devices: Sequence[str] = (),
) -> dict[str, object]:
    """Return what provenance.json holds.

    Args:
        command: The program's own argument vector.
        data_fingerprint: Digest of the data set's manifest.
        config_digest: Digest of the resolved configuration.
        devices: Names of the devices in use, as people know them.
    """
    here = Path(__file__).parent
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit_of(here),
        "diff": _diff(here),
        "command": list(command),
        "python": sys.version.split()[0],
        "packages": {name: metadata.version(name) for name in _packages()},
        "host": {"name": platform.node(), "system": platform.platform(), "machine": platform.machine()},
        "devices": list(devices),
        "config_digest": config_digest,
        "data_fingerprint": data_fingerprint,
    }


def _packages() -> list[str]:
    return sorted(
        {str(found.metadata["Name"]) for found in metadata.distributions() if found.metadata["Name"]}
    )


def _diff(folder: Path) -> str | None:
    """Return what `git diff HEAD` prints, or None where git or a repository is missing."""
    git = shutil.which("git")
    if git is None:
        return None
    asked = subprocess.run(
        [git, "diff", "HEAD"], cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    return asked.stdout[:DIFF_LIMIT_BYTES] if asked.returncode == 0 else None
