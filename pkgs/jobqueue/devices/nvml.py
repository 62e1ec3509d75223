"""The machine's real GPUs, through NVML: asked in one thread, with a deadline, and again after a failure.

"No GPU" means neither an NVML library nor a GPU device file. A machine that has one of them and whose NVML
fails is a machine with a fault, where nothing new starts on GPUs; running runs go on.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final, final

from pkgs.jobqueue.devices.cards import Cards
from pkgs.jobqueue.devices.inventory import Inventory

log = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0
"""Between two attempts to initialise NVML; doubled each time, as each attempt may touch a sick driver."""
_LIBRARY_NOT_FOUND: Final = 12
_CURES: Final = {
    4: "This user may not open the GPU device files; look at the permissions and group of /dev/nvidia*.",
    9: "Load the driver (`modprobe nvidia`) or reboot; after a kernel update it may have to be built anew.",
    12: "Install the user-space part of the driver; a container must be started with access to the GPUs.",
    18: "The driver was upgraded while it was loaded: reboot, or unload and load its kernel modules.",
}
_NO_STARTS: Final = "Nothing new starts on GPUs; running runs go on."


@final
class NvmlSource:
    """Reads all cards. Ask as often as you like: never more than one question is on its way."""

    def __init__(
        self,
        *,
        device_folder: Path = Path("/dev"),
        deadline_s: float = 5.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Ask nothing yet: NVML is loaded with the first question, in the source's own thread.

        Args:
            device_folder: Where GPU device files (`nvidia*`) would be.
            deadline_s: How long `read` waits for an answer, > 0.
            clock: Monotonic seconds.
        """
        self._session = _Session(device_folder, clock)
        self._deadline_s = deadline_s
        self._clock = clock
        self._changed = Condition()
        self._thread: Thread | None = None
        self._asked_s: float | None = None  # None: no question is on its way
        self._closed = False
        self._newest = Inventory(kind="unknown", problem=f"NVML has not answered yet. {_NO_STARTS}")

    def read(self) -> Inventory:
        """Return a fresh inventory; after the deadline, waited for once, the last one with a problem."""
        with self._changed:
            asked_s = self._ask()
            left_s = self._deadline_s - (self._clock() - asked_s)
            self._changed.wait_for(lambda: self._asked_s is None, timeout=max(0.0, left_s))
            return self._answer()

    def newest(self) -> Inventory:
        """Return the newest inventory without waiting, and ask for a fresher one if none is on its way."""
        with self._changed:
            self._ask()
            return self._answer()

    def close(self) -> None:
        """End the thread after its present question; it shuts NVML down, as a call may hang in it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ask(self) -> float:
        if self._asked_s is None:
            self._asked_s = self._clock()
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="nvml", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return self._asked_s

    def _answer(self) -> Inventory:
        waited_s = 0.0 if self._asked_s is None else self._clock() - self._asked_s
        if waited_s < self._deadline_s:
            return self._newest
        problem = (
            f"NVML has not answered for {waited_s:.{0 if waited_s >= 1 else 1}f} s: a call hangs in the "
            "driver. "
            f"{_NO_STARTS} `dmesg` may name the card; often only a reboot helps."
        )
        return replace(self._newest, problem=problem)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked_s is not None or self._closed)
                if self._closed:
                    break
            inventory = self._session.take()
            with self._changed:
                self._newest = inventory
                self._asked_s = None
                self._changed.notify_all()
        self._session.end()


@final
class _Session:
    """NVML as a whole: initialise, give up, try again later. Used by one thread only."""

    def __init__(self, device_folder: Path, clock: Callable[[], float]) -> None:
        self._device_folder = device_folder
        self._clock = clock
        self._nvml: Any = None
        self._cards: Cards | None = None
        self._up = False
        self._pause_s = _FIRST_PAUSE_S
        self._next_init_s = float("-inf")
        self._last = Inventory(kind="unknown")

    def take(self) -> Inventory:
        """Return all cards, or what is known with a problem."""
        if not self._up and self._clock() < self._next_init_s:
            return self._last
        try:
            self._last = self._ask()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: logged, and shown as a problem
            self._last = self._failed(error)
        return self._last

    def end(self) -> None:
        """Let go of NVML."""
        if self._up:
            self._up = False
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError as error:
                log.info("NVML did not shut down error=%s", error)

    def _ask(self) -> Inventory:
        if self._nvml is None:
            self._nvml = importlib.import_module("pynvml")
        if not self._up:
            self._nvml.nvmlInit()
            self._up = True
        if self._cards is None:
            self._cards = Cards(self._nvml)
        readings = self._cards.ask()
        if any(reading.fault for reading in readings):
            self._end_for_a_fresh_look()
        else:
            self._pause_s = _FIRST_PAUSE_S
        problem = None if readings else self._nothing_to_use()
        return Inventory(readings, problem=problem, kind="nvml", taken_s=self._clock())

    def _end_for_a_fresh_look(self) -> None:
        """Initialise anew, now and then: only that finds a card again that was lost."""
        if self._clock() >= self._next_init_s:
            self._pause()
            self.end()
            self._nvml.nvmlInit()
            self._up = True

    def _nothing_to_use(self) -> str:
        """Say why NVML works and still offers nothing."""
        count = self._nvml.nvmlDeviceGetCount()
        if count:
            return (
                f"{count} card(s) are in MIG mode without any slice. {_NO_STARTS} Make slices with "
                "`nvidia-smi mig -cgi`, "
                "or leave MIG mode with `nvidia-smi -mig 0`."
            )
        return f"NVML works but shows no GPU. {_NO_STARTS} `lspci` tells whether the card is on the bus."

    def _failed(self, error: Exception) -> Inventory:
        self.end()
        pause_s = self._pause()
        code = getattr(error, "value", None)
        device_file = next(iter(sorted(self._device_folder.glob("nvidia*"))), None)
        if device_file is None and not self._last.readings and self._no_library(error):
            return Inventory(kind="none", taken_s=self._clock())
        if isinstance(error, ImportError):
            problem = "The package nvidia-ml-py is missing (`pip install nvidia-ml-py`)."
        elif code is None:
            log.error("asking NVML failed in an unforeseen way", exc_info=error)
            problem = f"Asking NVML failed: {type(error).__name__}: {error}."
        else:
            where = f" though {device_file} exists" if code == _LIBRARY_NOT_FOUND and device_file else ""
            problem = f"NVML says {str(error)!r} (code {code}){where}."
        cure = f" {_CURES[code]}" if code in _CURES else ""
        text = f"{problem} {_NO_STARTS}{cure} Asked again in {pause_s:.0f} s."
        return Inventory(
            self._last.readings, problem=text, kind=self._last.kind if self._last.readings else "unknown"
        )

    def _no_library(self, error: Exception) -> bool:
        """Tell whether this machine has no NVML; without the Python package, found out by hand."""
        if not isinstance(error, ImportError):
            return getattr(error, "value", None) == _LIBRARY_NOT_FOUND
        try:
            ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return True
        return False

    def _pause(self) -> float:
        """Set the time of the next initialisation, and return how far off it is."""
        pause_s = self._pause_s
        self._next_init_s = self._clock() + pause_s
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        return pause_s
