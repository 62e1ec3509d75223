"""Images in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import DataError
from pkgs.data.readers.cem_1500k import Cem1500k
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.samples import Part, load_part
from tests.builders.cem_1500k import write_cem_1500k
from tests.builders.cem_mitolab import write_cem_mitolab


def load(root: Path, *, size_px: int = 32) -> Part:
    samples = CemMitoLab().samples(root)
    return load_part(
        samples, size_px=size_px, digests={s.id: digest_image(s.files["image"]) for s in samples}
    )


def test_every_quirk_is_read_without_an_option(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path))
    batch = part.batch(np.arange(len(part)))
    assert batch.image_B1HW.shape == (32, 1, 32, 32)
    assert batch.image_B1HW.dtype == torch.float32
    assert batch.label_BHW.unique().tolist() == [0, 1]
    inside = batch.image_B1HW[:, 0][batch.label_BHW == 1].mean()
    assert inside > 0.5 > batch.image_B1HW[:, 0][batch.label_BHW == 0].mean()  # also where white is 0


def test_masks_follow_their_images_when_resized(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path, sources=2), size_px=64)
    images, labels = part.images_NHW.float(), part.labels_NHW
    assert images.shape == labels.shape == (8, 64, 64)
    assert images[labels == 1].mean() > 2 * images[labels == 0].mean()


def test_eight_bit_images_are_kept_as_codes(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path, sources=1))
    assert part.images_NHW.dtype == torch.uint8
    assert torch.equal(part.batch(np.array([0])).image_B1HW[0, 0], part.images_NHW[0].float() / 255)


def test_unequal_shapes_are_listed(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path, sources=1)
    mask = root / "CEM-MitoLab/cem_mitolab/source_00/masks/s0_1.tiff"
    tifffile.imwrite(mask, np.zeros((8, 8), np.uint16), photometric="minisblack")
    with pytest.raises(
        DataError, match=r"1 images and masks differ in shape: source_00/s0_1 \(image \(32, 32\)"
    ):
        load(root)


def test_a_changed_image_is_refused(tmp_path: Path) -> None:
    sample = CemMitoLab().samples(write_cem_mitolab(tmp_path, sources=1))[0]
    with pytest.raises(DataError, match="pixels have changed since the split was written"):
        load_part([sample], size_px=32, digests={sample.id: "0" * 16})


def test_a_batch_is_a_copy(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path, sources=1))
    before = part.images_NHW.clone()
    part.batch(np.array([0])).image_B1HW.zero_()
    assert torch.equal(part.images_NHW, before)


def test_an_unlabelled_layout_cannot_be_trained_on(tmp_path: Path) -> None:
    sample = Cem1500k().samples(write_cem_1500k(tmp_path))[0]
    with pytest.raises(DataError, match=r"pool_00/roi_0: has no mask file\. Choose a data\.layout"):
        load_part([sample], size_px=32, digests={})
