"""Digests of decoded images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from pkgs.data.digests import digest_sample
from pkgs.data.readers.image_folder import ImageFolder
from tests.builders.aerial import save


def test_equal_pixels_have_one_digest_in_every_container_and_others_another(tmp_path: Path) -> None:
    plane = np.arange(64, dtype=np.uint8).reshape(8, 8)
    save(tmp_path / "images/a.png", plane)
    tifffile.imwrite(tmp_path / "images/b.tif", plane, photometric="minisblack")
    save(tmp_path / "images/c.png", plane.T.copy())
    reader = ImageFolder(masks="")
    one, same, other = (digest_sample(reader, sample) for sample in reader.samples(tmp_path))
    assert one == same != other
