"""Settings of the data cache and of the loader in front of it. Loads neither numpy nor torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from pkgs.foundation.config import Section

Mode = Literal["live_cache", "pre_cache", "disk", "device"]
LoaderKind = Literal["auto", "inline", "thread", "process"]
GIB: Final = 2**30


class CacheConfig(Section):
    """Where decoded samples are kept between uses, and how much room they may take."""

    mode: Mode = "live_cache"
    """`live_cache`: kept at first use. `pre_cache`: all are made before the first step, on all cores. `disk`:
    nothing is kept, files are read each time. `device`: all on the GPU; `live_cache` if they do not fit."""

    folder: str = ""
    """Folder of the packed files, shared by all jobs of a user on this machine; a local disk. Empty:
    `$XDG_CACHE_HOME/queuemanager`, else `~/.cache/queuemanager`. `/dev/shm` counts as memory of the job."""

    budget_gib: float = Field(default=200.0, gt=0)
    """GiB that all packed files together may take; then the longest unused are removed, never one in use."""

    keep_free_gib: float = Field(default=1.0, ge=0)
    """GiB of the disk that the cache leaves free: checkpoints and logs of every job need them."""

    key_by: Literal["times", "content"] = "times"
    """What tells a changed source file: `times`, its size and time of change, 2 microseconds a file;
    `content`, its bytes, all read at each start: for folders that are copied anew before each job."""

    test_nan_inf: bool = True
    """Whether decoded images are searched for NaN and infinity, once, before they are kept."""

    def place(self) -> Path:
        """Return the folder of the packed files; the environment is asked now, not at import."""
        if self.folder:
            return Path(self.folder).expanduser()
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(base).expanduser() / "queuemanager"


class LoaderConfig(Section):
    """Who decodes and copies the next batches while the network works on this one."""

    kind: LoaderKind = "auto"
    """`inline`: the training's own thread, one batch ahead. `thread`, `process`: helpers besides it. `auto`:
    inline once every sample is in the cache, processes before that where much is left to decode. No kind
    changes a result."""

    workers: int = Field(default=0, ge=0)
    """Helpers; 0: one per core that this job may use (affinity, `OMP_NUM_THREADS`)."""

    ahead: int = Field(default=2, ge=1)
    """Batches prepared beyond the one in use; each costs its size in memory."""

    bad_share: float = Field(default=0.01, ge=0, le=1)
    """The training stops when a larger share of its samples is unreadable: then the folder is at fault."""

    bad_count: int = Field(default=100, ge=0)
    """It also stops beyond so many; the smaller of the two limits counts, but one sample may always be bad
    unless this is 0."""
