"""Mean and spread of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.channel_statistics import Statistics, Sums, channel_statistics
from pkgs.data.items import DataError
from pkgs.data.readers.datacentric import DataCentric
from tests.builders.datacentric import write_datacentric


def test_statistics_match_values_worked_out_by_hand() -> None:
    told = Statistics.of(np.array([[[1, 3]], [[5, 5]]], np.uint8))
    assert told == Statistics(mean=(2.0, 5.0), std=(1.0, 0.0))


def test_any_order_and_any_grouping_give_the_same_bits() -> None:
    images = [np.random.default_rng(k).integers(0, 256, (3, 17, 5 + k), dtype=np.uint8) for k in range(6)]
    whole = np.concatenate([image.reshape(3, -1) for image in images], axis=1)[:, None]
    assert Statistics.of(*images) == Statistics.of(*images[::-1]) == Statistics.of(whole)
    assert np.allclose(Statistics.of(*images).std, whole.std(axis=(1, 2)))


def test_statistics_of_a_data_set_are_those_of_its_pixels(tmp_path: Path) -> None:
    reader, ticks = DataCentric(), []
    samples = reader.samples(write_datacentric(tmp_path))
    told = channel_statistics(reader, samples, tick=lambda: ticks.append(1))
    stacked = np.stack([reader.read(sample)["image"] for sample in samples])
    assert np.allclose(told.mean, stacked.mean(axis=(0, 2, 3)))
    assert len(ticks) == len(samples)


def test_sixteen_bits_do_not_overflow() -> None:
    assert Statistics.of(np.full((1, 512, 512), 65535, np.uint16)) == Statistics((65535.0,), (0.0,))


def test_fractions_mixed_channels_and_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="expected the stored whole numbers"):
        Statistics.of(np.zeros((1, 2, 2), np.float32))
    with pytest.raises(DataError, match="An image of 1 channels among images of 3"):
        Statistics.of(np.zeros((3, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(DataError, match="training part is empty"):
        Sums().result()
