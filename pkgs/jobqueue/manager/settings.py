"""Settings of the manager: configs/queue.yaml, each with its default and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from pkgs.foundation.config import Section, load_config

SETTINGS_FILE: Final = Path("configs/queue.yaml")


class Settings(Section):
    """How patient, how careful and how talkative the manager is."""

    grace_s: float = Field(default=60.0, ge=0)
    """Seconds between SIGTERM and SIGKILL: time to save a checkpoint of a large network."""

    stall_s: float = Field(default=3600.0, gt=0)
    """A run without output, heartbeat and device activity for this long is stopped."""

    free_disk_floor_mib: int = Field(default=2048, ge=0)
    """MiB that must be free below the root before anything starts: a full disk fails every run."""

    lease_folder: str = ""
    """Where device leases lie, the same for all users of the machine; empty chooses /run/lock or /tmp."""

    retry_pauses_s: tuple[Annotated[float, Field(ge=0, le=7200)], ...] = Field(
        default=(30.0, 120.0, 600.0), min_length=1
    )
    """Pause before the first, second and every later retry: most causes that pass do so within minutes."""

    failures_to_hold: int = Field(default=3, ge=1)
    """Failed runs in a row that hold a job, and, of different jobs, a card."""

    aging_s: float = Field(default=600.0, ge=0)
    """A run of several GPUs that has waited this long collects devices as they fall free."""

    device_samples: int = Field(default=3, ge=1)
    """Clean samples in a row before a disturbed GPU counts as free again: drivers release memory late."""

    device_poll_s: float = Field(default=2.0, gt=0)
    """Seconds between two samples of the GPUs."""

    telemetry_s: float = Field(default=15.0, gt=0)
    """Seconds between two readings of utilisation, memory and power per run."""

    notify: str = ""
    """Shell command run at each change of a job; it has QUEUE_JOB, QUEUE_STATUS and QUEUE_MESSAGE."""

    notify_limit_s: float = Field(default=10.0, gt=0)
    """The notification is killed after this long; it never holds up the queue."""

    device_ids: Literal["uuid", "index"] = "uuid"
    """What CUDA_VISIBLE_DEVICES holds; `index` is for old programs that refuse UUIDs."""


def load_settings(path: Path = SETTINGS_FILE) -> Settings:
    """Return the settings in `path`, or the defaults where there is no such file.

    Raises:
        ConfigError: If the file is there and not of this form.
    """
    return load_config(Settings, path) if path.exists() else Settings()
