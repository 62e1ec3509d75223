"""Telling copies of an image apart from its neighbours, whatever the file format. Loads no torch."""

from __future__ import annotations

import hashlib

import numpy as np

from pkgs.data.items import Reader, Sample


def digest_sample(reader: Reader, sample: Sample) -> str:
    """Return 16 hex digits of the decoded `image`: equal pixels, equal digits, for the leak check of a split.

    `formats.grey_image.digest_image` hashes the stored plane instead; split files of CEM-MitoLab hold that
    one.
    """
    image = reader.read(sample)["image"]
    head = f"{image.dtype.str}{image.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).hexdigest()[:16]
