"""Keeping what made a loss not finite, and doing it again: batch, weights before the step, generators."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from pkgs.foundation.files import read_json, write_json, write_whole
from pkgs.training.checkpoints import encode_tensors, encode_weights, load_weights
from pkgs.training.generators import restore_generators
from pkgs.training.method import Method

if TYPE_CHECKING:
    from pkgs.training.updates import Update

B = TypeVar("B")
SHOWN: Final = 5


class NotFiniteError(Exception):
    """Loss or gradient became NaN or infinite; the update was held back."""


def keep_evidence(  # noqa: PLR0913 - all by name
    folder: Path,
    *,
    method: Method[B],
    part: str,
    step: int,
    draws: Sequence[range],
    state: Mapping[str, Any],
    command: Sequence[str],
) -> None:
    """Write everything that is needed to compute the update again into `folder`.

    The batch is fetched once more: it is a function of its draws. All processes' shares are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(draws):
        batch = method.prepare(method.fetch(piece), draws=piece)
        write_whole(folder / _batch_file(number, len(draws)), encode_tensors(method.evidence(batch)))
    for name, module in method.modules.items():
        write_whole(folder / f"{name}.safetensors", encode_weights(module))
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_whole(folder / "state.pt", buffer.getvalue())
    about = {
        "step": step,
        "part": part,
        "draws": [[piece.start, piece.stop] for piece in draws],
        "replay": [*command, "--replay-nan", str(folder)],
    }
    write_json(folder / "about.json", about)


def replay_evidence(folder: Path, *, method: Method[B], updates: Sequence[Update[B]]) -> list[str]:
    """Compute the loss and gradient of the kept batch with the kept weights; return what was found.

    Raises:
        ValueError: If `folder` holds no such evidence, or it is from another method or network.
    """
    about = read_json(folder / "about.json")
    update = next((u for u in updates if isinstance(about, dict) and u.part.name == about.get("part")), None)
    if not isinstance(about, dict) or update is None:
        raise ValueError(
            f"{folder}: about.json is missing, damaged or of another method. Expected a folder that the NaN "
            "guard wrote, attempts/<k>/nan of the run."
        )
    for name, module in method.modules.items():
        path = folder / f"{name}.safetensors"
        load_weights(module, safetensors.torch.load_file(path), where=str(path))
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    update.scaler.load_state_dict(state["scaler"])
    draws = [range(start, stop) for start, stop in about["draws"]]
    batches = [method.prepare(method.fetch(piece), draws=piece) for piece in draws]
    restore_generators(state["generators"])
    sums_N2, _ = update.gradients(batches)
    said = [f"Step {about['step'] + 1}, part {about['part']}: loss {float(sums_N2[0, 0]):g} in sum."]
    for number, batch in enumerate(batches):
        kept = safetensors.torch.load_file(folder / _batch_file(number, len(batches)))
        said += _said_of(method.evidence(batch), kept)
    names = [
        f"{name}.{path}"
        for name, module in method.modules.items()
        for path, weight in module.named_parameters()
        if weight.grad is not None and not weight.grad.isfinite().all()
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [*said, f"Gradients that are not finite: {', '.join(names[:SHOWN]) or 'none'}{more}."]


def _said_of(now: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> list[str]:
    spoilt = [name for name, tensor in now.items() if not tensor.isfinite().all()]
    same = all(name in now and _same_bits(tensor, now[name]) for name, tensor in kept.items())
    return [
        f"The batch is {'the same, to the bit' if same else 'another one: data or settings have changed'}; "
        f"not finite in it: {', '.join(spoilt) or 'nothing'}."
    ]


def _same_bits(kept: Tensor, now: Tensor) -> bool:
    return torch.equal(kept.nan_to_num(), now.cpu().nan_to_num()) and torch.equal(
        kept.isnan(), now.cpu().isnan()
    )


def _batch_file(number: int, count: int) -> str:
    return "batch.safetensors" if count == 1 else f"batch_{number}.safetensors"
