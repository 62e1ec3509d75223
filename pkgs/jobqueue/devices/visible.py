"""Which devices this queue may hand out, and what an attempt's environment says about them.

Two bounds meet: what the user asked for (`--gpus`) and what the manager itself was given
(`CUDA_VISIBLE_DEVICES` in its own environment, as Slurm sets it). Neither is ever passed on to a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pkgs.jobqueue.devices.inventory import DeviceReading
from pkgs.jobqueue.devices.simulated import parse_simulated


@dataclass(frozen=True, slots=True)
class AllGpus:
    """`--gpus all`, the default."""


@dataclass(frozen=True, slots=True)
class NoGpus:
    """`--gpus none`."""


@dataclass(frozen=True, slots=True)
class NamedGpus:
    """`--gpus 0,2` or `--gpus GPU-8932f937,…`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimulatedGpus:
    """`--gpus sim:8x24G`."""

    sizes_mib: tuple[int, ...]


GpuChoice = AllGpus | NoGpus | NamedGpus | SimulatedGpus


@dataclass(frozen=True, slots=True)
class Chosen:
    """What may be handed out. Keep the UUIDs: indices shift when a card drops out."""

    uuids: tuple[str, ...]
    sentence: str = ""
    """What bounds the choice, for the screen; empty when all devices of the machine are in it."""


def parse_gpus(text: str) -> GpuChoice:
    """Return what `--gpus TEXT` asks for; whether the named cards exist is checked by `choose_devices`.

    Raises:
        ValueError: If the text has none of the known forms.
    """
    words = [word.strip() for word in text.strip().split(",")]
    if text.strip().lower().startswith("sim:"):
        return SimulatedGpus(parse_simulated(text.strip()[4:]))
    if words == ["all"]:
        return AllGpus()
    if words == ["none"]:
        return NoGpus()
    bad = [word for word in words if not _looks_like_a_gpu(word)]
    if bad:
        raise ValueError(
            f"--gpus: {text!r}: {bad[0]!r} is not 'all', 'none', an index such as 0, a UUID such as "
            "GPU-8932f937 or MIG-5c89, or 'sim:8x24G'."
        )
    return NamedGpus(tuple(dict.fromkeys(words)))


def choose_devices(
    readings: Sequence[DeviceReading],
    choice: GpuChoice,
    *,
    given: str | None = None,
    given_in_pci_order: bool = True,
) -> Chosen:
    """Return the devices that lie within both `choice` and `given`, in the order of `readings`.

    Call it when the inventory has no problem, once, and keep the answer.

    Args:
        readings: Leaves in PCI order, faulty ones included.
        choice: What the user asked for.
        given: `CUDA_VISIBLE_DEVICES` of the manager's environment; None when it is not set.
        given_in_pci_order: Whether `CUDA_DEVICE_ORDER` is `PCI_BUS_ID` there; else CUDA puts the fastest card
            first, which nobody can tell from outside, and the sentence says how the indices were read.

    Raises:
        ValueError: If `choice` names a card that is not there, that is named ambiguously, or that lies
            outside `given`.
    """
    match choice:
        case NoGpus():
            return Chosen((), "--gpus none: no GPU is used.")
        case SimulatedGpus():
            return Chosen(tuple(reading.uuid for reading in readings))
        case AllGpus() | NamedGpus():
            pass
    bound, sentence = _given(readings, given, in_pci_order=given_in_pci_order)
    if isinstance(choice, AllGpus):
        return Chosen(bound, sentence)
    wanted = _named(readings, choice.names)
    outside = [reading for reading in readings if reading.uuid in wanted and reading.uuid not in bound]
    if outside:
        raise ValueError(
            f"--gpus: GPU {outside[0].index} ({outside[0].uuid}) is there, but "
            f"CUDA_VISIBLE_DEVICES={given!r} in the "
            "manager's environment does not include it. Name other cards, or start the manager without that "
            "variable."
        )
    uuids = tuple(reading.uuid for reading in readings if reading.uuid in wanted)
    return Chosen(uuids, f"--gpus {','.join(choice.names)}: {_count(uuids, readings)} may be used.")


def device_environment(uuids: Iterable[str], *, indices: Iterable[str] | None = None) -> dict[str, str]:
    """Return the variables that show exactly these devices to an attempt, and none to a CPU run.

    Args:
        uuids: The attempt's devices.
        indices: For programs that refuse UUIDs: the devices' indices in PCI order, taken instead.
    """
    shown = ",".join(uuids if indices is None else indices)
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": shown,
        "NVIDIA_VISIBLE_DEVICES": shown,
    }


def _looks_like_a_gpu(word: str) -> bool:
    """Tell whether a word is `3`, `3:0`, `GPU-…` or `MIG-…`."""
    return word.replace(":", "", 1).isdecimal() or (word.startswith(("GPU-", "MIG-")) and len(word) > 4)


def _given(
    readings: Sequence[DeviceReading], given: str | None, *, in_pci_order: bool
) -> tuple[tuple[str, ...], str]:
    """Read the variable as CUDA does: from the left, up to the first entry that names nothing."""
    everything = tuple(reading.uuid for reading in readings)
    if given is None:
        return everything, ""
    words = [word.strip() for word in given.split(",")]
    seen: set[str] = set()
    stopped = ""
    for word in words:
        found = _match(readings, word)
        if not found:
            stopped = word
            break
        seen.update(found)
    uuids = tuple(uuid for uuid in everything if uuid in seen)
    start = f"CUDA_VISIBLE_DEVICES={given!r} in the manager's environment"
    end = " Start the manager without it to use all." if len(uuids) < len(everything) else ""
    if not uuids:
        return (), f"{start} shows no GPU of this machine: runs that need one wait.{end}"
    said = f"{start} bounds the queue to {_count(uuids, readings)}."
    if stopped:
        said += f" {stopped!r} in it names no single GPU; it and what follows it are left out, as CUDA does."
    if not in_pci_order and any(word.isdecimal() for word in words) and _mixed(readings):
        said += (
            " Its indices were read in PCI order; CUDA_DEVICE_ORDER=PCI_BUS_ID or UUIDs make that certain."
        )
    return uuids, said + end


def _named(readings: Sequence[DeviceReading], names: Sequence[str]) -> set[str]:
    known = ", ".join(f"{reading.index} ({reading.uuid})" for reading in readings) or "none"
    wanted: set[str] = set()
    for name in names:
        found = _match(readings, name)
        if not found:
            raise ValueError(f"--gpus: {name!r} names no single GPU of this machine. There are: {known}.")
        wanted.update(found)
    return wanted


def _match(readings: Sequence[DeviceReading], word: str) -> set[str]:
    """Return the devices that a word names: one device, or all slices of one card; nothing when in doubt."""
    if word.replace(":", "", 1).isdecimal():
        return {r.uuid for r in readings if r.index == word or r.index.startswith(f"{word}:")}
    if not word.startswith(("GPU-", "MIG-")) or len(word) <= 4:
        return set()
    exact = {r.uuid for r in readings if r.uuid == word}
    begins = {r.uuid for r in readings if r.uuid.startswith(word)}
    if exact or len(begins) == 1:
        return exact or begins
    parents = {r.parent for r in readings if r.parent is not None and r.parent.startswith(word)}
    if begins or len(parents) != 1:
        return set()
    return {r.uuid for r in readings if r.parent in parents}


def _count(uuids: Sequence[str], readings: Sequence[DeviceReading]) -> str:
    indices = [reading.index for reading in readings if reading.uuid in set(uuids)]
    return f"GPU {', '.join(indices)} of {len(readings)}" if indices else f"none of {len(readings)} GPUs"


def _mixed(readings: Sequence[DeviceReading]) -> bool:
    return len({reading.name for reading in readings}) > 1
