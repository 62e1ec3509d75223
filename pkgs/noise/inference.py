"""Windows over images of any size, their mean, and what is written of it. Loads torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pkgs.data.formats.rgb_image import read_rgb
from pkgs.data.windows import sliding_window
from pkgs.foundation.run_folder import RunFolder
from pkgs.noise.infer import WINDOW_PX, Asked
from pkgs.noise.training.maps import probability
from pkgs.noise.training.teacher import load_teacher
from pkgs.training.checkpoint_folder import newest_whole
from pkgs.training.replicas import pick_device
from pkgs.training.starting_point import StartingPoint

RGB: Final = 3
ONE: Final = 65535
OUTLINE: Final = (255, 230, 0)


def infer(asked: Asked) -> Iterator[str]:
    """Write the results of each image, and yield one sentence per image.

    Raises:
        ValueError: If a run or an image cannot be used.
        OSError: If something cannot be written.
    """
    device = pick_device(asked.device)
    networks = [_network(run, asked.weights).to(device).eval() for run in asked.runs]
    side_px = asked.window_px or _side_of(asked.runs[0])
    for name, path in sorted(asked.images.items()):
        pixels_CHW = read_rgb(path, repeat_grey=True)
        p_HW = _mean_probability(networks, pixels_CHW, asked=asked, side_px=side_px, device=device)
        mask_HW = p_HW >= asked.threshold
        _write(asked.out / "probabilities" / f"{name}.png", np.rint(p_HW * ONE).astype(np.uint16))
        _write(asked.out / "masks" / f"{name}.png", (255 * mask_HW).astype(np.uint8))
        _write(asked.out / "overlays" / f"{name}.png", outlined(np.moveaxis(pixels_CHW, 0, -1), mask_HW))
        yield f"{path.name}: {p_HW.shape[1]} x {p_HW.shape[0]} px, {mask_HW.mean():.1%} building."


def outlined(image_HWC: NDArray[np.uint8], mask_HW: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the image with the outer rim of each object of the mask drawn into it, one pixel inside."""
    mask = torch.from_numpy(mask_HW)[None, None].float()
    eroded = -F.max_pool2d(F.pad(-mask, (1, 1, 1, 1), value=0.0), 3, stride=1)
    rim_HW = ((mask - eroded)[0, 0] > 0).numpy()
    shown = image_HWC.copy()
    shown[rim_HW] = OUTLINE
    return shown


def _mean_probability(
    networks: Sequence[nn.Module],
    pixels_CHW: NDArray[np.uint8],
    *,
    asked: Asked,
    side_px: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Return P [H, W], the mean over networks and over the windows that hold a pixel."""
    image_CHW = torch.from_numpy(pixels_CHW).to(device).float() / 255
    height, width = image_CHW.shape[1:]
    down, right = max(0, side_px - height), max(0, side_px - width)
    # repeated rather than black: a black border is a thing that no network has seen
    padded = F.pad(image_CHW[None], (0, right, 0, down), mode="replicate")[0]

    def answer(windows: Tensor) -> Tensor:
        each = [probability(network, windows, tta=asked.tta) for network in networks]
        return torch.stack(each).mean(dim=0)

    p_1HW = sliding_window(answer, padded, window=(side_px, side_px), overlap=asked.overlap)
    return np.asarray(p_1HW[0, :height, :width].clamp(0, 1).cpu().numpy())


def _network(path: Path, weights: str) -> nn.Module:
    """Return the network of a run folder, or of one of its checkpoints.

    Raises:
        ValueError: If there is none, or it is not one of colour images.
    """
    run, name = _run_of(path, weights)
    point = StartingPoint(run, "student", name)
    found, notes = newest_whole(run / "checkpoints", name)
    if found is None or not (found / "student.safetensors").exists():
        why = "; ".join(notes) or f"no whole checkpoint {name!r} of a network that segments"
        raise ValueError(
            f"{path}: {why}. Expected the folder of a run of pkgs.noise train or pkgs.student, or "
            "checkpoints/last or checkpoints/best in it."
        )
    return load_teacher(point, image_channels=RGB)


def _run_of(path: Path, weights: str) -> tuple[Path, Literal["last", "best"]]:
    if path.absolute().parent.name == "checkpoints":
        return path.parent.parent, cast(Literal["last", "best"], path.name)
    return path, cast(Literal["last", "best"], weights)


def _side_of(path: Path) -> int:
    """Return the side of the patches that a run was trained on."""
    run, _ = _run_of(path, "last")
    raw: Any = yaml.safe_load(RunFolder(run).config.read_text(encoding="utf-8"))
    return int(raw.get("data", {}).get("size_px", WINDOW_PX))


def _write(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    Image.fromarray(pixels).save(draft, format="PNG")
    draft.replace(path)
