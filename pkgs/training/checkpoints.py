"""What a checkpoint holds: weights as safetensors, and beside them all that exact resume needs.

The state is only what `torch.load(weights_only=True)` reads: tensors, numbers, text, lists, dicts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor, nn

from pkgs.training.checkpoint_folder import Name, newest_whole, publish

STATE: Final = "state.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in memory: weights by the module's name, and everything else."""

    weights: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    """Damaged checkpoints that were passed over."""


def save_checkpoint(
    checkpoints: Path, name: Name, *, step: int, modules: Mapping[str, nn.Module], state: Mapping[str, Any]
) -> None:
    """Write weights and state together, synced, and let `name` show them."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    files = {f"{module_name}.safetensors": encode_weights(module) for module_name, module in modules.items()}
    publish(checkpoints, name, step=step, files={**files, STATE: buffer.getvalue()})


def load_checkpoint(checkpoints: Path, name: Name) -> Checkpoint | None:
    """Return the newest whole checkpoint of this name, None if there is none."""
    folder, notes = newest_whole(checkpoints, name)
    if folder is None:
        return None
    state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    weights = {path.stem: safetensors.torch.load_file(path) for path in sorted(folder.glob("*.safetensors"))}
    return Checkpoint(weights, state, notes)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Load all weights into `module`, strictly.

    Raises:
        ValueError: Lists missing and surplus keys.
    """
    wanted = module.state_dict().keys()
    missing, surplus = sorted(wanted - weights.keys()), sorted(weights.keys() - wanted)
    if missing or surplus:
        raise ValueError(
            f"{where}: weights of another network; missing {missing[:5]}, surplus {surplus[:5]}."
        )
    module.load_state_dict(dict(weights))


def load_weights_of(checkpoints: Path, name: Name, modules: Mapping[str, nn.Module]) -> int:
    """Load the weights of a checkpoint into `modules` and return the step that they are from.

    Raises:
        FileNotFoundError: If there is no whole checkpoint of this name.
    """
    found = load_checkpoint(checkpoints, name)
    if found is None:
        raise FileNotFoundError(f"{checkpoints / name}: no whole checkpoint.")
    for module_name, module in modules.items():
        load_weights(module, found.weights[module_name], where=str(checkpoints / name))
    return int(found.state["loop"]["step"])


def encode_weights(module: nn.Module) -> bytes:
    """Return the weights as safetensors; every tensor a contiguous copy, which the format demands."""
    return safetensors.torch.save(
        {key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()}
    )


def generators() -> dict[str, Any]:
    """Return the states of torch's global generators: what libraries draw on their own, such as dropout."""
    return {"cpu": torch.get_rng_state(), "cuda": [state.cpu() for state in torch.cuda.get_rng_state_all()]}


def restore_generators(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
