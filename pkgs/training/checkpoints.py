"""What a checkpoint holds: weights as safetensors, and beside them all that exact resume needs.

The state is only what `torch.load(weights_only=True)` reads: tensors, numbers, text, lists, dicts.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from pkgs.training.checkpoint_folder import DIGESTS, Name, newest_whole, publish

STATE: Final = "state.pt"
FORMAT: Final = 2
"""Of the state; raised when an older one cannot be resumed from."""
DATA_DIGEST: Final = "data_digest"
"""Key of the metadata; a resume on data with another digest is refused."""
CONFIG_DIGEST: Final = "config_digest"
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in memory: weights by the module's name, and everything else."""

    weights: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    """Damaged checkpoints that were passed over."""

    def of(self, module_name: str, *, where: str) -> Mapping[str, Tensor]:
        """Return the weights of one module.

        Raises:
            ValueError: If the checkpoint has none.
        """
        if module_name not in self.weights:
            raise ValueError(
                f"{where}: has no weights of {module_name!r}, only of {', '.join(sorted(self.weights))}. "
                "It is from another method."
            )
        return self.weights[module_name]


def save_checkpoint(  # noqa: PLR0913 - all by name
    checkpoints: Path,
    name: Name,
    *,
    step: int,
    modules: Mapping[str, nn.Module],
    state: Mapping[str, Any],
    about: Mapping[str, str] | None = None,
) -> None:
    """Write weights and state together, synced, and let `name` show them.

    Args:
        checkpoints: The run's folder of checkpoints.
        name: Which of its checkpoints to replace.
        step: After how many steps.
        modules: The networks; a file of weights each, which carries `about`, step and versions as text, but
            not the digest of the settings: equal weights of two conditions are equal files.
        state: Only what `torch.load(weights_only=True)` reads.
        about: Where the run comes from, such as digests of configuration and data.

    Raises:
        OSError: If it cannot be written; the checkpoint before stays in force.
    """
    origin = {**(about or {}), "torch": str(torch.__version__), "format": str(FORMAT)}
    buffer = io.BytesIO()
    torch.save({**state, "about": origin}, buffer)
    text = {key: value for key, value in origin.items() if key != CONFIG_DIGEST}
    text["step"] = str(step)
    files = {f"{key}.safetensors": encode_weights(module, about=text) for key, module in modules.items()}
    publish(checkpoints, name, step=step, files={**files, STATE: buffer.getvalue()})


def load_checkpoint(checkpoints: Path, name: Name) -> Checkpoint | None:
    """Return the newest whole checkpoint of this name, None if there is none."""
    folder, notes = newest_whole(checkpoints, name)
    if folder is None:
        return None
    state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    weights = {path.stem: safetensors.torch.load_file(path) for path in sorted(folder.glob("*.safetensors"))}
    return Checkpoint(weights, state, notes)


def refuse_others(found: Checkpoint, *, data_digest: str, where: str) -> None:
    """Refuse a checkpoint that this run cannot go on from.

    Raises:
        ValueError: If it is of another format, or from other data.
    """
    told = found.state.get("about", {})
    if told.get("format") != str(FORMAT):
        raise ValueError(
            f"{where}: was written by another version (format {told.get('format', '1')}, expected {FORMAT}). "
            "Move the run's folder away to start anew (in Jobs.csv: status rerun)."
        )
    if told.get(DATA_DIGEST, data_digest) != data_digest:
        raise ValueError(
            f"{where}: was trained on other data (digest {told[DATA_DIGEST]}, now {data_digest}). Take the "
            "change of the data or the split back, or move the run's folder away to start anew (in "
            "Jobs.csv: status rerun)."
        )


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Load all weights into `module`, strictly.

    Raises:
        ValueError: Lists missing and surplus keys, or those of another shape.
    """
    given = {bare(key): value for key, value in weights.items()}
    own = {bare(key): value for key, value in module.state_dict().items()}
    missing, surplus = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or surplus:
        raise ValueError(
            f"{where}: weights of another network; missing {_few(missing)}, surplus {_few(surplus)}. "
            "Is model.name the one that it was trained with?"
        )
    _refuse_shapes(own, given, where=where)
    _copy(own, given)


def load_some_weights(module: nn.Module, weights: Mapping[str, Tensor], *, prefix: str, where: str) -> str:
    """Load the weights whose names begin with `prefix`, such as `encoder.`; the others stay as they are.

    Returns:
        A sentence for the log: how many of how many were taken.

    Raises:
        ValueError: If nothing is to be taken, or a shape differs.
    """
    own = {bare(key): value for key, value in module.state_dict().items()}
    given = {bare(key): value for key, value in weights.items()}
    wanted = [key for key in own if key.startswith(prefix)]
    taken = {key: given[key] for key in wanted if key in given}
    if not taken:
        raise ValueError(
            f"{where}: no weight of the network begins with {prefix!r} in both; the network has "
            f"{_few(sorted(own))}, the file {_few(sorted(given))}."
        )
    _refuse_shapes(own, taken, where=where)
    _copy(own, taken)
    return f"{where}: took {len(taken)} of {len(wanted)} tensors below {prefix!r}."


def load_weights_of(checkpoints: Path, name: Name, modules: Mapping[str, nn.Module]) -> int:
    """Load the weights of a checkpoint into `modules` and return the step that they are from.

    Raises:
        FileNotFoundError: If there is no whole checkpoint of this name.
    """
    found = load_checkpoint(checkpoints, name)
    if found is None:
        raise FileNotFoundError(f"{checkpoints / name}: no whole checkpoint.")
    for module_name, module in modules.items():
        where = str(checkpoints / name)
        load_weights(module, found.of(module_name, where=where), where=where)
    return int(found.state["loop"]["step"])


def replace_weights(
    checkpoints: Path, name: Name, *, modules: Mapping[str, nn.Module], about: Mapping[str, str]
) -> None:
    """Write these modules of a checkpoint again, as what was found after training; all else stays as it is.

    Args:
        checkpoints: The run's folder of checkpoints.
        name: Which of them.
        modules: By the name of their file.
        about: Added to what the file says about its origin.

    Raises:
        FileNotFoundError: If there is no whole checkpoint of this name.
        OSError: If it cannot be written; the checkpoint before stays in force.
    """
    folder, _ = newest_whole(checkpoints, name)
    if folder is None:
        raise FileNotFoundError(f"{checkpoints / name}: no whole checkpoint.")
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != DIGESTS}
    changed = {}
    for key, module in modules.items():
        with safetensors.safe_open(folder / f"{key}.safetensors", framework="pt") as file:
            told = file.metadata()
        changed[f"{key}.safetensors"] = encode_weights(module, about={**told, **about})
    if any(files[key] != content for key, content in changed.items()):
        publish(checkpoints, name, step=int(told["step"]), files={**files, **changed})


def encode_weights(module: nn.Module, *, about: Mapping[str, str] | None = None) -> bytes:
    """Return the weights as safetensors, under their bare names."""
    return encode_tensors({bare(key): value for key, value in module.state_dict().items()}, about=about)


def encode_tensors(tensors: Mapping[str, Tensor], *, about: Mapping[str, str] | None = None) -> bytes:
    """Return tensors as safetensors; each a contiguous copy, which the format demands, and text beside."""
    whole = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }
    return _in_fixed_order(safetensors.torch.save(whole, metadata=dict(about or {})))


def _in_fixed_order(raw: bytes) -> bytes:
    """Sort the file's header: safetensors writes metadata in any order, and equal weights would differ."""
    size = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the format aligns what follows
    return len(header).to_bytes(8, "little") + header + raw[8 + size :]


def bare(key: str) -> str:
    """Return a weight's name without what torch.compile and DataParallel put into it."""
    return key.replace("_orig_mod.", "").removeprefix("module.")


def _refuse_shapes(own: Mapping[str, Tensor], given: Mapping[str, Tensor], *, where: str) -> None:
    other = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in given
        if given[key].shape != own[key].shape
    ]
    if other:
        raise ValueError(
            f"{where}: weights of another shape: {_few(other)}. Do channels, classes and widths agree?"
        )


def _copy(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for key, value in given.items():
            own[key].copy_(value)


def _few(names: list[str]) -> str:
    return f"{names[:SHOWN]}" + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
