"""Import every module of a package in this interpreter and print, as JSON, what each import left behind.

    python -B import_watch.py ROOT PACKAGE

Foreign libraries are imported first, so that only what the package itself does is seen.
"""

from __future__ import annotations

import ast
import atexit
import gc
import importlib
import json
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LOUD = (
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.fork", "os.posix_spawn", "os.system",
    "subprocess.Popen", "socket.connect", "socket.bind", "urllib.Request", "sqlite3.connect",
)  # fmt: skip


def modules(root: Path, package: str) -> list[tuple[str, Path]]:
    """Return the dotted name and the file of each module."""
    found = []
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def foreign(path: Path, package: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what a file imports at its top level from elsewhere."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] != package:
            yield node.module, [alias.name for alias in node.names]


def standing() -> dict[str, object]:
    """Return the state of the interpreter that an import must leave as it is."""
    import numpy as np
    import torch

    kind, keys, *rest = np.random.get_state()  # the global one
    return {
        "environment": dict(os.environ),
        "working folder": os.getcwd(),
        "module search path": list(sys.path),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "signal handlers": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "logging": (list(logging.root.handlers), logging.root.level, logging.root.manager.disable),
        "warning filters": list(warnings.filters),
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr),
        "garbage collector": (gc.isenabled(), gc.get_threshold()),
        "exit callbacks": atexit._ncallbacks(),
        "random generator": random.getstate(),
        "numpy generator": (kind, keys.tobytes(), *rest),
        "numpy error state": np.geterr(),
        "torch generator": torch.get_rng_state().numpy().tobytes(),
        "torch default dtype": torch.get_default_dtype(),
        "torch default device": str(torch.get_default_device()),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch gradient": torch.is_grad_enabled(),
        "torch determinism": torch.are_deterministic_algorithms_enabled(),
        "torch matmul precision": torch.get_float32_matmul_precision(),
        "torch cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32),
        "torch CUDA started": torch.cuda.is_initialized(),
    }


def watch(root: Path, package: str) -> dict[str, list[str]]:
    """Return what each module changed, by its name; quiet modules are left out."""
    acts: list[str] = []

    def hook(event: str, details: tuple[object, ...]) -> None:
        if event in LOUD:
            acts.append(f"{event} {details[0]}")
        elif event == "open" and isinstance(details[2], int) and details[2] & WRITING:
            acts.append(f"opened for writing: {details[0]}")

    everything = modules(root, package)
    for _, path in everything:
        for name, members in foreign(path, package):
            __import__(name, fromlist=members)
    sys.path.insert(0, str(root))
    before = standing()
    sys.addaudithook(hook)
    changes: dict[str, list[str]] = {}
    for name, _ in everything:
        acts.clear()
        importlib.import_module(name)
        after = standing()
        found = [*acts, *(what for what, value in after.items() if value != before[what])]
        if found:
            changes[name] = found
        before = after
    return changes


if __name__ == "__main__":
    print(json.dumps(watch(Path(sys.argv[1]), sys.argv[2])))  # noqa: T201 - read by the test
