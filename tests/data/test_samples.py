"""Labelled grey images out of the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pkgs.data.cache.config import CacheConfig
from pkgs.data.cache.loader import Loader
from pkgs.data.config import DataConfig
from pkgs.data.formats.grey_image import read_grey
from pkgs.data.items import DataError, Reader
from pkgs.data.readers.cem_1500k import Cem1500k
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.readers.whu import Whu
from pkgs.data.samples import Part, open_images, open_instances
from tests.builders.cem_1500k import write_cem_1500k
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.whu import write_whu

CEM = CemMitoLab()
CPU = torch.device("cpu")


def load(
    root: Path, folder: Path, *, size_px: int = 32, bits: int = 16, reader: Reader | None = None
) -> Part:
    reader = reader or CemMitoLab()
    cache = CacheConfig(folder=str(folder / "cache"))
    config = DataConfig(root=str(root), size_px=size_px, depth_bits=bits, cache=cache)  # type: ignore[arg-type]
    samples = reader.samples(root)
    return Part(open_images(samples, reader=reader, config=config, device=CPU), np.arange(len(samples)))


def test_every_quirk_is_read_without_an_option(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path / "set"), tmp_path)
    batch = part.batch(np.arange(len(part))).to(CPU)
    assert batch.image_BCHW.shape == (32, 1, 32, 32)
    assert batch.image_BCHW.dtype == torch.float32
    assert batch.label_BHW.unique().tolist() == [0, 1]
    inside = batch.image_BCHW[:, 0][batch.label_BHW == 1].mean()
    assert inside > 0.5 > batch.image_BCHW[:, 0][batch.label_BHW == 0].mean()  # also where white is 0


def test_masks_follow_their_images_when_resized(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path / "set", sources=2), tmp_path, size_px=64)
    batch = part.batch(np.arange(len(part))).to(CPU)
    images, labels = batch.image_BCHW[:, 0], batch.label_BHW
    assert images.shape == labels.shape == (8, 64, 64)
    assert images[labels == 1].mean() > 2 * images[labels == 0].mean()


@pytest.mark.parametrize("bits", [8, 16])
def test_images_of_eight_bits_come_back_exactly(tmp_path: Path, bits: int) -> None:
    part = load(write_cem_mitolab(tmp_path / "set", sources=1), tmp_path, bits=bits)
    grey = read_grey(part.cache.sample(0).files["image"])
    assert torch.equal(part.batch(np.array([0])).to(CPU).image_BCHW[0, 0], torch.from_numpy(grey))


def test_unequal_shapes_are_said(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path / "set", sources=1)
    mask = root / "CEM-MitoLab/cem_mitolab/source_00/masks/s0_1.tiff"
    tifffile.imwrite(mask, np.zeros((8, 8), np.uint16), photometric="minisblack")
    part = load(root, tmp_path)
    with pytest.raises(DataError, match=r"source_00/s0_1.*32.*8"):
        part.batch(np.arange(len(part)))


def test_a_batch_is_a_copy(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path / "set", sources=1), tmp_path)
    before = part.batch(np.array([0])).image_BCHW.clone()
    part.batch(np.array([0])).image_BCHW.zero_()
    assert torch.equal(part.batch(np.array([0])).image_BCHW, before)


def test_an_unlabelled_layout_cannot_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pool_00/roi_0: has no mask file\. Choose a data\.layout"):
        load(write_cem_1500k(tmp_path / "set"), tmp_path, reader=Cem1500k())


def test_colour_images_are_refused(tmp_path: Path) -> None:
    write_whu(tmp_path / "set")
    with pytest.raises(DataError, match="images of 3 channels; expected grey ones"):
        load(tmp_path / "set", tmp_path, reader=Whu())


def test_numbered_objects_come_beside_the_labels_and_only_where_asked(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path / "set")
    part = load(root, tmp_path)
    assert part.batch(np.arange(4)).instances_BHW is None
    config = DataConfig(root=str(root), size_px=32, cache=CacheConfig(folder=str(tmp_path / "cache")))
    samples = CEM.samples(root)
    objects = open_instances(samples, reader=CEM, config=config, device=CPU)
    batch = replace(part, instances=objects).batch(np.arange(len(part))).to(CPU)
    assert batch.instances_BHW is not None
    assert batch.instances_BHW.dtype == torch.int32
    assert torch.equal(batch.instances_BHW > 0, batch.label_BHW == 1)
    assert batch.instances_BHW.amax() == 2


def test_a_loader_s_batch_gets_the_objects_of_its_samples(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path / "set", sources=2)
    config = DataConfig(root=str(root), size_px=64, cache=CacheConfig(folder=str(tmp_path / "cache")))
    samples = CEM.samples(root)
    caches = [f(samples, reader=CEM, config=config, device=CPU) for f in (open_images, open_instances)]
    part = Part(caches[0], np.arange(8), caches[1])
    with Loader(part.cache, indices=part.numbers, seed=1) as loader:
        batch = part.fetched(loader.fetch(range(8)))
    assert batch.instances_BHW is not None
    assert torch.equal(batch.instances_BHW > 0, batch.label_BHW == 1)


def test_equal_names_of_two_sources_keep_their_own_masks(tmp_path: Path) -> None:
    part = load(write_cem_mitolab(tmp_path / "set"), tmp_path)
    same = [place for place, id_ in enumerate(part.ids) if id_.endswith("/same_0")]
    batch = part.batch(np.array(same)).to(CPU)
    assert batch.ids == ("source_03/same_0", "source_04/same_0")
    assert not torch.equal(batch.label_BHW[0], batch.label_BHW[1])
    for image, label in zip(batch.image_BCHW[:, 0], batch.label_BHW, strict=True):
        assert image[label == 1].min() > image[label == 0].max()
