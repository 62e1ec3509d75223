"""The manager's desk for GPUs: what the source shows, judged by the watch, leased, offered to the plan.

Not here: which run gets which device (plan.py) and how a card is asked (devices/nvml.py).
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final, final

from pkgs.jobqueue.devices.inventory import DeviceReading, DeviceSource, Inventory
from pkgs.jobqueue.devices.leases import Held, LeaseError, Leases, Owner
from pkgs.jobqueue.devices.usage import OurRun
from pkgs.jobqueue.devices.visible import AllGpus, GpuChoice, NamedGpus, NoGpus, choose_devices
from pkgs.jobqueue.devices.watch import DeviceRoom, DeviceState, DeviceWatch
from pkgs.jobqueue.schedule.rooms import Room

_WAITED: Final = re.compile(r"\d+(\.\d+)? s\b")
"""What grows in a problem's sentence while it stays the same."""
RETURNING: Final = frozenset({DeviceState.FREE, DeviceState.OURS, DeviceState.SHARED, DeviceState.SETTLING})
"""States that end by themselves: a large run may count on such a device."""


def owner_of_root(root_id: str) -> Owner:
    """Return who we are, for the lease files that other users read."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such uid in the password file, usual in containers
        user = ""
    return Owner(root_id, platform.node(), os.getuid(), user, os.getpid(), time.time())


@final
class GpuDesk:
    """Everything about GPUs that the loop needs, in four verbs: poll, look, offer, take."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        source: DeviceSource,
        *,
        choice: GpuChoice,
        leases: Leases,
        owner: Owner,
        watch: DeviceWatch,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.source = source
        self.watch = watch
        self.inventory = Inventory()
        self.rooms: tuple[DeviceRoom, ...] = ()
        self.notices: list[str] = []
        """Sentences for the screen, each once."""
        self._choice = choice
        self._leases = leases
        self._owner = owner
        self._environment = environment
        self._chosen: frozenset[str] | None = None
        self._held: dict[str, str] = {}
        self._said: set[str] = set()
        self._problem: str | None = None

    def poll(self, *, ours: Collection[str] = (), wait: bool = False) -> None:
        """Take in the newest inventory, and who else holds leases.

        Args:
            ours: UUIDs of devices with runs of ours; nobody else can hold those.
            wait: For a fresh inventory, once at the start.
        """
        self.inventory = self.source.read() if wait else self.source.newest()
        self._note_problem()
        if self.inventory.problem is None and self._chosen is None:
            self._choose(strict=wait)
        self._held = {
            uuid: words for uuid in self._chosen or () if uuid not in ours and (words := self._holder(uuid))
        }

    def keep_leases_recent(self) -> None:
        """Spare the lease files from cleaners of /tmp; once a day is enough."""
        for uuid in self._chosen or ():
            self._leases.refresh(uuid)

    @property
    def stand_in(self) -> bool:
        """Whether a CPU slot stands in for GPUs: there is none, or none may be used."""
        return isinstance(self._choice, NoGpus) or self.inventory.kind == "none"

    def look(self, now_s: float, our: Mapping[str, Sequence[OurRun]]) -> None:
        """Judge every device anew: runs of ours have started or ended, or there is a new inventory."""
        self.rooms = self.watch.look(now_s, self.inventory, our=our, held=self._held)

    def offer(self, *, until_unix_s: Mapping[str, float | None], ours: Mapping[str, int]) -> list[Room]:
        """Return the devices that may be handed out, for the plan.

        Args:
            until_unix_s: By UUID, when the last of our runs there is expected to end.
            ours: By UUID, how many attempts of ours hold the device.
        """
        if self.inventory.problem or self._chosen is None:
            return []
        return [
            Room(
                uuid=room.uuid,
                total_mib=room.total_mib or 0,
                free_mib=room.free_mib,
                alone_ok=room.alone_ok,
                share_ok=room.free_mib > 0,
                probation=room.probation,
                busy_until_unix_s=until_unix_s.get(room.uuid),
                ours=ours.get(room.uuid, 0),
                returns=room.state in RETURNING,
                model=room.name,
            )
            for room in self.rooms
            if room.uuid in self._chosen
        ]

    def take(self, uuids: Sequence[str], *, alone: bool) -> tuple[int, ...] | None:
        """Lease all of these devices, or none of them; None when one is held by somebody else."""
        taken: list[int] = []
        for uuid in uuids:
            try:
                lease = self._leases.acquire(uuid, self._owner, alone=alone)
            except LeaseError as error:
                lease = Held(None, str(error))
                self._say(str(error))
            if isinstance(lease, Held):
                self._held[uuid] = lease.why
                for descriptor in taken:
                    os.close(descriptor)
                return None
            taken.append(lease)
        return tuple(taken)

    def readings(self, uuids: Sequence[str]) -> list[DeviceReading]:
        return [reading for reading in self.inventory.readings if reading.uuid in uuids]

    def label(self, uuid: str) -> str:
        """Return a device for people: its index, for it is what they see elsewhere."""
        for reading in self.inventory.readings:
            if reading.uuid == uuid:
                return f"GPU {reading.index}"
        return uuid

    def indices(self) -> dict[str, str]:
        return {reading.uuid: reading.index for reading in self.inventory.readings}

    def _holder(self, uuid: str) -> str:
        """Return who holds a device on which no run of ours is, an attempt that we lost track of included."""
        try:
            holder = self._leases.holder(uuid)
        except LeaseError as error:
            self._say(str(error))
            return str(error)
        return "" if holder is None else holder.words()

    def _note_problem(self) -> None:
        """Say that NVML fails, once however long it takes, and that it works again."""
        problem = self.inventory.problem
        before, self._problem = self._problem, None if problem is None else _WAITED.sub("", problem)
        if problem is not None and self._problem != before:
            self.notices.append(problem)
        elif problem is None and before is not None:
            self.notices.append("NVML answers again.")

    def _choose(self, *, strict: bool) -> None:
        """Fix once, by UUID, what may be handed out.

        Raises:
            ValueError: If `--gpus` names a card that is not there; later than at the start it is only said.
        """
        try:
            self._chosen = self._named()
        except ValueError as error:
            if strict:
                raise
            self._chosen = frozenset()
            self._say(f"{error} No GPU is used.")

    def _named(self) -> frozenset[str]:
        given = None if self.inventory.kind == "simulated" else self._environment.get("CUDA_VISIBLE_DEVICES")
        in_order = self._environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
        if self.inventory.kind == "none":
            if isinstance(self._choice, NamedGpus):
                names = ",".join(self._choice.names)
                raise ValueError(
                    f"--gpus: '{names}': this machine has no GPU. Leave the option out (CPU slots stand in), "
                    "or pretend some: sim:2x24G."
                )
            if isinstance(self._choice, AllGpus):
                self._say("No GPU on this machine: CPU slots stand in for the GPUs that rows ask for.")
            return frozenset()
        chosen = choose_devices(
            self.inventory.readings, self._choice, given=given, given_in_pci_order=in_order
        )
        if chosen.sentence:
            self._say(chosen.sentence)
        return frozenset(chosen.uuids)

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self.notices.append(sentence)
