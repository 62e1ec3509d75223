"""`python -m pkgs.noise infer`: buildings in images of any size, by one network or the mean of several.

Per image, by its own name: `probabilities/` (PNG of 16 bits, 65535 = sure), `masks/` (0 and 255, P from the
threshold on) and `overlays/` (the image with outlines). Images are only read. torch loads when it begins.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.data.formats.folders import files_by_stem
from pkgs.data.formats.grey_image import ENDINGS
from pkgs.foundation import exit_codes
from pkgs.training.arguments import DEVICES

WINDOW_PX: Final = 256
OVERLAP: Final = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do."""

    runs: tuple[Path, ...]
    """Run folders, or folders of one checkpoint."""
    images: dict[str, Path]
    """By the name of the results, without an ending."""
    out: Path
    weights: str
    window_px: int
    """0: the side of the patches that the first run was trained on."""
    overlap: float
    threshold: float
    tta: str
    device: str


def main(argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit code."""
    try:
        asked = _parse(argv)
        from pkgs.noise.inference import infer  # noqa: PLC0415 - torch

        for sentence in infer(asked):
            sys.stdout.write(f"{sentence}\n")
            sys.stdout.flush()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}. Make room or writable, and start again.\n")
        return exit_codes.FAILED
    return exit_codes.OK


def _parse(argv: Sequence[str]) -> Asked:
    """Read the command line.

    Raises:
        SystemExit: With code 2, after a usage line, if it cannot be read.
        ValueError: If there is no image, or results would replace images.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pkgs.noise infer",
        description="Find buildings in images of any size: probabilities, masks, overlays.",
    )
    parser.add_argument(
        "--run", type=Path, action="append", required=True, metavar="FOLDER",
        help="run folder or checkpoints/<name>; several times for the mean of several",
    )  # fmt: skip
    parser.add_argument("--images", type=Path, required=True, help="a folder of RGB images, or one image")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--weights", choices=("last", "best"), default="best")
    parser.add_argument(
        "--window", type=int, default=0, metavar="PX", help="side of a window, else the run's"
    )
    parser.add_argument(
        "--overlap", type=float, default=OVERLAP, help="share of a window that the next covers"
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="P from which on a pixel is a building")
    parser.add_argument("--tta", choices=("none", "d4"), default="none", help="mean over 8 flips and turns")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    given = parser.parse_args(argv)
    if given.window < 0 or not 0 <= given.overlap < 1 or not 0 < given.threshold < 1:
        raise ValueError(
            f"--window {given.window} --overlap {given.overlap:g} --threshold {given.threshold:g}: expected "
            "a side in pixels, an overlap of at least 0 and below 1, and a threshold between 0 and 1."
        )
    images = _images(given.images)
    if any(
        os.path.commonpath([path.resolve(), given.out.resolve()]) == str(given.out.resolve())
        for path in images.values()
    ):
        raise ValueError(
            f"--out {given.out} holds the images; name another folder, so that they stay as they are."
        )
    return Asked(
        runs=tuple(given.run), images=images, out=given.out, weights=given.weights, window_px=given.window,
        overlap=given.overlap, threshold=given.threshold, tta=given.tta, device=given.device,
    )  # fmt: skip


def _images(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise ValueError(f"--images {path}: is neither an image nor a folder, seen from {Path.cwd()}.")
    found = files_by_stem(path, ENDINGS)
    if not found:
        raise ValueError(f"--images {path}: holds no image; expected files ending in {', '.join(ENDINGS)}.")
    return dict(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
