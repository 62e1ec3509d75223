"""Reading weights from files that others made. Whatever the file holds, none of its code is run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

NESTED: Final = ("state_dict", "model_state_dict", "model")
"""Where training programs keep the weights inside a larger dictionary."""

ZIP: Final = b"PK\x03\x04"
PICKLE: Final = b"\x80"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.safetensors`, `.pth`, `.pt` or `.tar` file, told by its content, on the CPU.

    Raises:
        ValueError: If the file is missing, damaged, holds anything but tensors, or was pickled with code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Is the path right?") from None
    is_safetensors = start[8:] == b"{"  # after 8 bytes of length, of which the first may look like a pickle's
    if start.startswith(ZIP) or (start.startswith(PICKLE) and not is_safetensors):
        return _tensors(_unpickle(path), path)
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path}: is no safetensors file, or a damaged one ({error}). Copy it again from its origin."
        ) from None


def _unpickle(path: Path) -> object:
    """Return what torch reads of the file when only tensors, numbers, text and containers are allowed."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():  # by its path, its ending would count
            # torch warns that it may not understand another protocol; whether it did is judged below
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{path}: is damaged or cut short ({_first_line(error)}). Copy it again from its origin."
        ) from None
    if "Unsupported" not in reason and "GLOBAL" not in reason and "callable" not in reason:
        raise ValueError(f"{path}: is damaged or no file of weights ({_first_line(reason)}).")
    raise ValueError(
        f"{path}: holds Python objects besides tensors. Loading those can run any code that its author "
        "chose, so nothing of it was loaded. Ask for a state dict or a safetensors file; or, on a machine "
        "where nothing can be lost, load it with torch.load(..., weights_only=False) and save its "
        "state_dict() with safetensors.torch.save_file."
    )


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    """Return the weights inside what a training program saved."""
    if isinstance(content, Mapping):
        for name in NESTED:
            if isinstance(content.get(name), Mapping):
                content = content[name]
                break
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: holds a {type(content).__name__}; expected a dictionary of tensors.")
    other = [
        f"{key} ({type(value).__name__})" for key, value in content.items() if not _is_weight(key, value)
    ]
    if other:
        raise ValueError(
            f"{path}: expected tensors by name, got {', '.join(other[:5])}. Known wrappings: "
            f"{', '.join(NESTED)}."
        )
    return dict(content)


def _is_weight(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _first_line(error: Any) -> str:  # noqa: ANN401 - an exception or its text
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
