"""The sentences of the device watch: who holds a device, how much of it, until when, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pkgs.jobqueue.devices.inventory import DeviceProcess, DeviceReading, gib
from pkgs.jobqueue.devices.usage import OurRun, Usage


def lost(reading: DeviceReading, runs: Sequence[OurRun]) -> str:
    """Say that a card is gone."""
    return (
        f"GPU {reading.index} is lost and in quarantine: {reading.fault}{_ours_too(runs)} "
        "`nvidia-smi -r` or a reboot may bring it back; the other cards go on."
    )


def problem(reading: DeviceReading, said: str, runs: Sequence[OurRun]) -> str:
    """Say that NVML as a whole cannot be asked."""
    return f"GPU {reading.index} cannot be asked: {said}{_ours_too(runs)}"


def fault(reading: DeviceReading, runs: Sequence[OurRun]) -> str:
    """Say that this card alone cannot be asked."""
    return f"GPU {reading.index} counts as busy: {reading.fault}{_ours_too(runs)} `nvidia-smi` may tell more."


def quarantined(reading: DeviceReading, why: str, *, left_s: float, runs: Sequence[OurRun]) -> str:
    """Say why a device is not trusted, and when it may prove itself."""
    if runs and left_s <= 0:
        return f"GPU {reading.index} is on probation, because {why}: {_names(runs)} decides about it."
    return (
        f"GPU {reading.index} is in quarantine, because {why}; a probation run may start in "
        f"{_duration(left_s)}."
        f"{_ours_too(runs)} Look at its log and at `dmesg`."
    )


def probation(reading: DeviceReading, why: str) -> str:
    """Say that one run may prove the device."""
    return (
        f"GPU {reading.index} was in quarantine, because {why}: one run decides whether it is trusted again."
    )


def free(reading: DeviceReading, free_mib: int) -> str:
    """Say how much room there is."""
    return f"GPU {reading.index} is free, {gib(free_mib)}."


def held(reading: DeviceReading, holder: str) -> str:
    """Say who has the lease."""
    return f"GPU {reading.index} is leased by {holder}; it is free when that run ends."


def unknown(reading: DeviceReading, runs: Sequence[OurRun]) -> str:
    """Say which value is missing."""
    what = "how much of its memory is in use" if reading.used_mib is None else "which processes use it"
    return (
        f"GPU {reading.index} does not say {what}, so it counts as busy.{_ours_too(runs)} `doctor` shows "
        "what the driver offers; `--gpus` can leave the card out."
    )


def strangers(
    reading: DeviceReading, usage: Usage, names: Mapping[int, str], *, runs: Sequence[OurRun]
) -> str:
    """Say which processes are there that were not given the device."""
    who = [_who(process, names) for process in usage.strangers[:3]]
    if len(usage.strangers) > len(who):
        who.append(f"{len(usage.strangers) - len(who)} more")
    size = f", {gib(usage.strangers_mib)}" if usage.strangers_mib else ""
    return (
        f"GPU {reading.index} is used by {', '.join(who)}{size}.{_ours_too(runs)} It is taken again once "
        "they have ended; if they are forgotten ones, their owner can end them."
    )


def nobody(reading: DeviceReading, mib: int, *, ended: str, ended_s: float) -> str:
    """Say that memory is in use and no process shows it."""
    start = f"GPU {reading.index}: held by nobody visible, {gib(mib)}"
    if ended:
        return f"{start}, {_duration(ended_s)} after {ended} ended there; taken again once that is released."
    return (
        f"{start}: perhaps a process in another container, or one that died badly. `fuser -v /dev/nvidia*` "
        "as root may show it; the card is taken again once the memory is released."
    )


def computing(reading: DeviceReading) -> str:
    """Say that a device works for somebody unseen."""
    return (
        f"GPU {reading.index} is {reading.util_percent} % busy though no process is visible, perhaps one in "
        "another container; it is taken again once it rests."
    )


def settling(reading: DeviceReading, left_s: float) -> str:
    """Say how long a device that became free is still watched."""
    return (
        f"GPU {reading.index} has just become free; it is watched for about {_duration(left_s)} more, in "
        "case "
        "its user comes back."
    )


def shared(reading: DeviceReading, free_mib: int, runs: Sequence[OurRun]) -> str:
    """Say who shares the device and what is left."""
    return f"GPU {reading.index} is shared by {_names(runs)}; {gib(free_mib)} are left."


def ours(reading: DeviceReading, runs: Sequence[OurRun], *, alone: bool) -> str:
    """Say which run of ours has the device."""
    if alone:
        return f"GPU {reading.index} belongs to {_names(runs)} alone."
    return f"GPU {reading.index} is full: shared by {_names(runs)}."


def _ours_too(runs: Sequence[OurRun]) -> str:
    return f" {_names(runs)} is there and goes on." if runs else ""


def _names(runs: Sequence[OurRun]) -> str:
    said = [f"{run.name} {run.until}".strip() for run in runs[:3]]
    if len(runs) > len(said):
        said.append(f"{len(runs) - len(said)} more")
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


def _who(process: DeviceProcess, names: Mapping[int, str]) -> str:
    if process.pid in names:
        return f"process {process.pid} of {names[process.pid]}, which does not hold this card"
    return f"process {process.pid} ({process.words})" if process.words else f"process {process.pid}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
