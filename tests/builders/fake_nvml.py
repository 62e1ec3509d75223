"""A pretended NVML for tests: compiles tests/jobqueue/nvml/fake_nvml.c and writes the world that it shows.

Processes under test find it through `environment()`; inside a test, `load()` suffices. Without a state file
the library answers as though it were not there: other tests of the same process see a machine without GPUs.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "jobqueue" / "nvml" / "fake_nvml.c"
GPU_IS_LOST, RESET_REQUIRED, NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED = 15, 16, 3, 4, 9
TIMEOUT, FUNCTION_NOT_FOUND, VERSION_MISMATCH, UNKNOWN = 10, 13, 18, 999


@dataclass(frozen=True)
class Card:
    """A pretended card, or a slice of one; None: the card does not offer that value."""

    uuid: str
    bus: str = "0:1:0"
    """Domain, bus and device, hexadecimal: the PCI order."""
    total_mib: int | None = 24_576
    used_mib: int | None = 10
    reserved_mib: int = 400
    util: int | None = 0
    temperature: int | None = 35
    power_w: int | None = 60
    energy_j: int | None = 5000
    mig: bool | None = None
    slices: tuple[Card, ...] = ()
    name: str = "NVIDIA Pretended"


@dataclass(frozen=True)
class OnCard:
    """A process on a card."""

    uuid: str
    pid: int
    mib: int | None = None
    kind: str = "compute"
    claim: bool = False
    """True: its memory is added to that of the card, and both vanish with the process."""


@dataclass(frozen=True)
class World:
    """All that the pretended library shows."""

    cards: tuple[Card, ...] = ()
    """In NVML's order."""
    processes: tuple[OnCard, ...] = ()
    faults: tuple[tuple[str, str, int], ...] = ()
    """(function or *, uuid or *, code)."""
    delays: tuple[tuple[str, int], ...] = ()
    """(function, milliseconds)."""
    driver: str = "580.00.pretended"

    def text(self) -> str:
        lines = [f"driver {self.driver}"]
        for card in self.cards:
            lines.append(f"card {card.uuid} {_values(card)}")
            lines += [f"slice {card.uuid} {part.uuid} {_values(part)}" for part in card.slices]
        for process in self.processes:
            word = "claim" if process.claim else "process"
            lines.append(f"{word} {process.uuid} {process.pid} {_text(process.mib)} {process.kind}")
        lines += [f"fault {function} {uuid} {code}" for function, uuid, code in self.faults]
        lines += [f"delay {function} {ms}" for function, ms in self.delays]
        return "\n".join(lines) + "\n"


@dataclass
class FakeNvml:
    """The library and its state file in one folder."""

    folder: Path
    world: World = field(default_factory=World)

    @property
    def state(self) -> Path:
        return self.folder / "nvml.state"

    def show(self, world: World) -> None:
        """Change the world, by rename: the library sees the old or the new one."""
        self.world = world
        draft = self.state.with_suffix(".draft")
        draft.write_text(world.text())
        draft.replace(self.state)

    def environment(self) -> dict[str, str]:
        """Return what a process under test needs to find this library and world."""
        return {"LD_LIBRARY_PATH": str(library().parent), "FAKE_NVML_STATE": str(self.state)}

    def load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let NVML of this very process be the pretended one, until the test ends."""
        ctypes.CDLL(str(library()))
        if not hasattr(ctypes.CDLL("libnvidia-ml.so.1"), "fake_nvml"):
            pytest.skip("the real libnvidia-ml.so.1 was loaded into this process earlier")
        monkeypatch.setenv("FAKE_NVML_STATE", str(self.state))


def eight_cards() -> tuple[Card, ...]:
    """Return GPU-0000 to GPU-0007 in PCI order."""
    return tuple(Card(f"GPU-000{number}", bus=f"0:{number + 1:x}:0") for number in range(8))


@functools.cache
def library() -> Path:
    """Return the compiled library; skips the test where no C compiler is."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the pretended NVML (tests/jobqueue/nvml/fake_nvml.c)")
    path = Path(tempfile.mkdtemp(prefix="fake_nvml_")) / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{path.name}"]
    subprocess.run([compiler, *flags, "-o", str(path), str(SOURCE)], check=True)
    return path


def _values(card: Card) -> str:
    values: dict[str, object] = {
        "name": card.name.replace(" ", "_"),
        "bus": card.bus,
        "total_mib": card.total_mib,
        "used_mib": card.used_mib,
        "reserved_mib": card.reserved_mib,
        "util": card.util,
        "temperature": card.temperature,
        "power_w": card.power_w,
        "energy_j": card.energy_j,
        "mig": None if card.mig is None else int(card.mig),
    }
    return " ".join(f"{key}={_text(value)}" for key, value in values.items())


def _text(value: object) -> str:
    return "none" if value is None else str(value)
