"""Whole volumes through a network that takes pieces: sliding windows, or all slices in several directions.

Every voxel is covered, the far faces too; sums and weights start at zero; the result has the shape of the
input, so its header is the input's. Knows no model: the network is a function that returns probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Network = Callable[[Tensor], Tensor]
"""Probabilities [B, K, *window] of images [B, C, *window]."""


def window_starts(size: int, *, window: int, overlap: float) -> list[int]:
    """Return the first voxels of windows that cover `size` voxels; the last ends where the axis ends.

    Args:
        size: At least `window`.
        window: Voxels of one window.
        overlap: Share of a window that the next one covers again, in [0, 1).
    """
    step = max(1, int(window * (1 - overlap)))
    inner = range(0, size - window, step)
    return [*inner, size - window]


def gaussian_weights(window: Sequence[int], *, device: torch.device | None = None) -> Tensor:
    """Return weights [*window] that fall off from the centre: sigma an eighth of each side, at least 1e-3."""
    weights = torch.ones((), device=device)
    for side in window:
        far = torch.arange(side, dtype=torch.float32, device=device) - (side - 1) / 2
        weights = weights[..., None] * torch.exp(-(far**2) / (2 * (0.125 * side) ** 2))
    return weights.clamp(min=1e-3)


@torch.inference_mode()
def sliding_window(  # noqa: PLR0913 - one option each
    network: Network,
    volume: Tensor,
    *,
    window: Sequence[int],
    overlap: float = 0.5,
    weights: Literal["gaussian", "constant"] = "gaussian",
    batch: int = 4,
    outside: float = 0.0,
) -> Tensor:
    r"""Return the weighted mean of the windows' probabilities, float32 [K, *space].

        p(v) = sum_w  g_w(v) p_w(v)  /  sum_w  g_w(v),    w all windows that hold v

    Every call sees [batch, C, *window]: the last one is filled up with its last window, the surplus dropped.

    Args:
        network: Returns probabilities of the window's own size. The classes sum to 1, so the mean does too.
        volume: [C, *space], two or three axes of space, on the network's device. An axis shorter than the
            window is padded on both sides.
        window: One side per axis of space.
        overlap: In [0, 1).
        weights: `gaussian` trusts the middle of a window more than its border.
        batch: Windows per call.
        outside: Value of the padding, in the units of `volume`; -1 after an intensity window.

    Raises:
        ValueError: If window, overlap or the network's answer do not fit.
    """
    if len(window) != volume.ndim - 1 or not 0 <= overlap < 1:
        raise ValueError(
            f"window {tuple(window)} and overlap {overlap:g} for a volume {tuple(volume.shape)}: expected "
            "one side per axis of space, and an overlap of at least 0 and below 1."
        )
    padded, before = _padded(volume, window, outside)
    space = padded.shape[1:]
    starts = [window_starts(n, window=w, overlap=overlap) for n, w in zip(space, window, strict=True)]
    weight = gaussian_weights(window, device=volume.device)
    if weights == "constant":
        weight = torch.ones_like(weight)
    places = [_place(start, window) for start in product(*starts)]
    sums, total = torch.zeros(0), torch.zeros(space, device=volume.device)
    for first in range(0, len(places), batch):
        some = places[first : first + batch]
        filled = some + [some[-1]] * (batch - len(some))
        answer = _checked(network(torch.stack([padded[(slice(None), *place)] for place in filled])), window)
        if first == 0:
            sums = torch.zeros((answer.shape[1], *space), device=volume.device)
        for place, probability in zip(some, answer, strict=False):
            sums[(slice(None), *place)] += weight * probability
            total[place] += weight
    inner = tuple(slice(b, b + n) for b, n in zip(before, volume.shape[1:], strict=True))
    return (sums / total)[(slice(None), *inner)]


@torch.inference_mode()
def slice_mean(  # noqa: PLR0913 - one option each
    network: Network,
    volume: Tensor,
    *,
    orientations: Sequence[int],
    context: int = 0,
    multiple: int = 1,
    batch: int = 8,
    outside: float = 0.0,
) -> Tensor:
    """Return the mean over orientations of the probabilities of all slices, float32 [K, i, j, k].

    Args:
        network: Takes slices [B, C, rows + 2 context, columns + 2 context], returns [B, K, rows, columns].
        volume: [C, i, j, k], on the network's device.
        orientations: Array axes across which the volume is sliced.
        context: Voxels that the network needs on each side of what it answers for: (receptive field - 1) / 2
            for valid convolutions, 0 for padded ones.
        multiple: Rows and columns are padded up to a multiple of this, and the answer is cropped.
        batch: Slices per call; the last call is filled up with its last slice.
        outside: Value of the padding, in the units of `volume`.
    """
    total = torch.zeros(0)
    for axis in orientations:
        slices = volume.movedim(axis + 1, 0)
        rows, columns = slices.shape[-2:]
        extra = (-rows % multiple, -columns % multiple)
        padding = (context, context + extra[1], context, context + extra[0])
        answers = []
        for first in range(0, len(slices), batch):
            some = F.pad(slices[first : first + batch], padding, value=outside)
            filled = torch.cat([some, some[-1:].expand(batch - len(some), *some.shape[1:])])
            answer = _checked(network(filled), (rows + extra[0], columns + extra[1]))
            answers.append(answer[: len(some), :, :rows, :columns])
        probability = torch.cat(answers).movedim(0, axis + 1)
        total = probability if total.numel() == 0 else total + probability
    return total / len(orientations)


def _padded(volume: Tensor, window: Sequence[int], outside: float) -> tuple[Tensor, list[int]]:
    """Return the volume with no axis shorter than the window, and how much was put before each axis."""
    missing = [max(0, w - n) for n, w in zip(volume.shape[1:], window, strict=True)]
    before = [m // 2 for m in missing]
    padding = [side for b, m in zip(reversed(before), reversed(missing), strict=True) for side in (b, m - b)]
    return (F.pad(volume, padding, value=outside) if any(missing) else volume), before


def _place(start: Sequence[int], window: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(s, s + w) for s, w in zip(start, window, strict=True))


def _checked(answer: Tensor, window: Sequence[int]) -> Tensor:
    if answer.shape[2:] != tuple(window):
        raise ValueError(
            f"The network answered {tuple(answer.shape)} to a window of {tuple(window)}; expected "
            "[B, K, *window]. Does it need padding, or a window of another size?"
        )
    return answer.float()
