"""Asks the cards of an initialised NVML, each on its own: a lost one never hides the others.

Not here: threads, deadlines, and NVML failing as a whole (nvml.py).
"""

from __future__ import annotations

import pwd
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, final

from pkgs.jobqueue.devices.inventory import DeviceProcess, DeviceReading

T = TypeVar("T")

WHOLE_CODES: Final = frozenset({1, 9, 18})
"""Uninitialized, driver not loaded, version mismatch: not the fault of the card that happened to be asked."""
_LOST_CODES: Final = frozenset({15, 16, 28})
"""GPU is lost, reset required, GPU not found."""
_NOT_AVAILABLE_CODES: Final = frozenset({2, 3, 4, 13, 21, 25})
"""Invalid argument, not supported, no permission, function not found, no data, version mismatch of a
struct."""
_MIB: Final = 1024 * 1024
_LISTS: Final = ("Compute", "Graphics", "MPSCompute")


@dataclass(frozen=True, slots=True)
class _Card:
    """A physical card with what it offers: itself, or its MIG slices."""

    uuid: str
    slot: int
    """Its number in NVML's list at that moment."""
    pci: tuple[int, ...]
    leaves: tuple[DeviceReading, ...]


@final
class Cards:
    """The cards seen so far, also those that have stopped answering."""

    def __init__(self, nvml: ModuleType) -> None:
        """Ask through `nvml`, the module pynvml, which the caller has initialised."""
        self._nvml = nvml
        self._known: dict[str, _Card] = {}

    def ask(self) -> tuple[DeviceReading, ...]:
        """Return every leaf in PCI order: read anew, or its last values with a `fault`.

        Raises:
            NVMLError: If NVML as a whole fails.
        """
        mute: dict[int, Exception] = {}
        seen: set[str] = set()
        for slot in range(self._nvml.nvmlDeviceGetCount()):
            try:
                handle = self._nvml.nvmlDeviceGetHandleByIndex(slot)
                uuid = str(self._nvml.nvmlDeviceGetUUID(handle))
            except self._nvml.NVMLError as error:
                _reraise_if_whole(error)
                mute[slot] = error
                continue
            seen.add(uuid)
            self._known[uuid] = self._card(handle, slot, uuid=uuid)
        self._mark_missing(seen, mute)
        return self._in_order()

    def _card(self, handle: object, slot: int, *, uuid: str) -> _Card:
        before = self._known.get(uuid)
        pci = before.pci if before else (1, slot)  # behind all cards whose address is known
        try:
            pci = self._pci(handle) or pci
            leaves = self._leaves(handle, uuid)
        except self._nvml.NVMLError as error:
            _reraise_if_whole(error)
            return self._faulty(
                before or _Card(uuid, slot, pci, (DeviceReading(uuid, ""),)), slot, error=error
            )
        return _Card(uuid, slot, pci, leaves)

    def _faulty(self, card: _Card, slot: int, *, error: Exception) -> _Card:
        code = getattr(error, "value", None)
        fault = f"NVML says {str(error)!r} (code {code}) for this card; the others are not affected."
        leaves = tuple(replace(leaf, fault=fault, lost=code in _LOST_CODES) for leaf in card.leaves)
        return replace(card, slot=slot, leaves=leaves)

    def _mark_missing(self, seen: set[str], mute: dict[int, Exception]) -> None:
        """Tell which known cards the mute entries are; the rest of the missing has vanished from the list."""
        missing = [card for uuid, card in self._known.items() if uuid not in seen]
        missing.sort(key=lambda card: card.slot not in mute)  # first those whose place is now a mute one
        for slot, error in mute.items():
            same = next((card for card in missing if card.slot == slot), missing[0] if missing else None)
            if same is not None:
                missing.remove(same)
            else:
                name = f"GPU-without-uuid-{slot}"
                same = _Card(name, slot, (1, slot), (DeviceReading(name, ""),))
            self._known[same.uuid] = self._faulty(same, slot, error=error)
        for card in missing:
            if card.uuid.startswith("GPU-without-uuid-"):
                del self._known[card.uuid]  # it has told its name by now, or was never ours to count
                continue
            fault = "The card has vanished from NVML's list: it fell off the bus, or was removed."
            leaves = tuple(replace(leaf, fault=fault, lost=True) for leaf in card.leaves)
            self._known[card.uuid] = replace(card, slot=-1, leaves=leaves)

    def _in_order(self) -> tuple[DeviceReading, ...]:
        leaves: list[DeviceReading] = []
        for rank, card in enumerate(sorted(self._known.values(), key=lambda card: card.pci)):
            for number, leaf in enumerate(card.leaves):
                index = f"{rank}" if leaf.parent is None else f"{rank}:{number}"
                leaves.append(replace(leaf, index=index))
        return tuple(leaves)

    def _pci(self, handle: object) -> tuple[int, ...] | None:
        info = self._soft(lambda: self._nvml.nvmlDeviceGetPciInfo(handle))
        return None if info is None else (0, int(info.domain), int(info.bus), int(info.device))

    def _leaves(self, handle: object, uuid: str) -> tuple[DeviceReading, ...]:
        """Return the card itself, or its slices: a card in MIG mode cannot be used as a whole."""
        nvml = self._nvml
        mode = self._value(lambda: nvml.nvmlDeviceGetMigMode(handle))
        if mode is None or mode[0] != 1:
            return (self._reading(handle, uuid),)
        temperature_c = self._soft(lambda: nvml.nvmlDeviceGetTemperature(handle, 0))
        leaves: list[DeviceReading] = []
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            part = self._slice_handle(handle, number)
            if part is not None:
                reading = self._reading(part, str(nvml.nvmlDeviceGetUUID(part)))
                # Power and energy are the card's; counted for each slice they would be counted several times.
                parted = replace(
                    reading, parent=uuid, temperature_c=temperature_c, power_w=None, energy_j=None
                )
                leaves.append(parted)
        return tuple(leaves)

    def _slice_handle(self, card: object, number: int) -> object | None:
        """Return None for a place where no slice has been made."""
        try:
            part: object = self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, number)
        except (self._nvml.NVMLError_NotFound, self._nvml.NVMLError_InvalidArgument):
            return None
        return part

    def _reading(self, handle: object, uuid: str) -> DeviceReading:
        nvml = self._nvml
        total_mib, used_mib, reserved_mib = self._memory(handle)
        rates = self._soft(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        power_mw = self._soft(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        energy_mj = self._soft(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        return DeviceReading(
            uuid=uuid,
            index="",
            name=str(self._soft(lambda: nvml.nvmlDeviceGetName(handle)) or ""),
            total_mib=total_mib,
            used_mib=used_mib,
            reserved_mib=reserved_mib,
            util_percent=None if rates is None else int(rates.gpu),
            temperature_c=self._soft(lambda: nvml.nvmlDeviceGetTemperature(handle, 0)),
            power_w=None if power_mw is None else power_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            processes=self._processes(handle),
        )

    def _memory(self, handle: object) -> tuple[int | None, int | None, int]:
        """Return total, used and reserved MiB; used contains the reserved where the driver is an old one."""
        nvml = self._nvml
        newer = self._value(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2))
        if newer is not None:
            return newer.total // _MIB, newer.used // _MIB, newer.reserved // _MIB
        older = self._value(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return (None, None, 0) if older is None else (older.total // _MIB, older.used // _MIB, 0)

    def _processes(self, handle: object) -> tuple[DeviceProcess, ...] | None:
        """Return who computes, draws or works through MPS here; None if one of the lists cannot be had."""
        sizes: dict[int, int | None] = {}
        for kind in _LISTS:
            listed = self._list(handle, kind)
            if listed is None:
                return None
            for process in listed:
                pid, used = int(process.pid), process.usedGpuMemory
                mib = None if used is None else int(used) // _MIB
                sizes[pid] = max((size for size in (sizes.get(pid), mib) if size is not None), default=None)
        return tuple(DeviceProcess(pid, mib, words_of(pid)) for pid, mib in sorted(sizes.items()))

    def _list(self, handle: object, kind: str) -> list[Any] | None:
        """Return one of the three lists; only the first must exist: slices do not draw, say."""
        nvml = self._nvml
        for version in ("_v3", "_v2"):
            try:
                answer: list[Any] = getattr(nvml, f"nvmlDeviceGet{kind}RunningProcesses{version}")(handle)
            except nvml.NVMLError_FunctionNotFound:
                continue  # a driver of another age
            except nvml.NVMLError_NotSupported:
                return None if kind == "Compute" else []
            except nvml.NVMLError as error:
                if getattr(error, "value", None) in _NOT_AVAILABLE_CODES:
                    return None
                raise
            return answer
        return None if kind == "Compute" else []

    def _value(self, call: Callable[[], T]) -> T | None:
        """Return None for what this card or driver does not offer; any other error is the card's fault."""
        try:
            return call()
        except self._nvml.NVMLError as error:
            if getattr(error, "value", None) in _NOT_AVAILABLE_CODES:
                return None
            raise

    def _soft(self, call: Callable[[], T]) -> T | None:
        """Return None for a value that decides nothing, unless its error tells that the card is gone."""
        try:
            return call()
        except self._nvml.NVMLError as error:
            if getattr(error, "value", None) in _LOST_CODES | WHOLE_CODES:
                raise
            return None


def _reraise_if_whole(error: Exception) -> None:
    if getattr(error, "value", None) in WHOLE_CODES:
        raise error


def words_of(pid: int, *, proc: Path = Path("/proc")) -> str:
    """Return who a process is, for people: `python of anna`; says so when it cannot be seen from here."""
    try:
        command = (proc / str(pid) / "comm").read_text(errors="replace").strip()
        uid = (proc / str(pid)).stat().st_uid
    except OSError:
        return "not visible from here, perhaps in another container"
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"user {uid}"
    return f"{command} of {user}"
