"""What a validation of noisy labels measures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import torch

from pkgs.data.cache.config import CacheConfig
from pkgs.data.config import DataConfig, SplitConfig
from pkgs.data.items import DataError
from pkgs.data.labelled import Labelled, open_labelled
from pkgs.data.second_labels import open_second_labels
from pkgs.losses.segmentation import bce_sum
from pkgs.noise.compat import CompatConfig
from pkgs.noise.training.validation import Validation
from pkgs.training.ranks import Ranks
from tests.builders.noisy_tiles import write_noisy_tiles
from tests.builders.red_roofs import RedRoofs

CPU = torch.device("cpu")
ALONE = Ranks(CPU)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    root = write_noisy_tiles(tmp_path_factory.mktemp("data"), tiles=4)
    return DataConfig(
        root=str(root), layout="datacentric", size_px=32,
        split=SplitConfig(by="folds", folds=2, fold_val=0.5), cache=CacheConfig(mode="disk"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(config: DataConfig) -> Labelled:
    return open_labelled(config, device=CPU)


def scores(
    data: Labelled, config: DataConfig, *, batch: int = 3, height: float = 5.0, **switches: bool
) -> Mapping[str, float]:
    clean = open_second_labels(
        data.val, data.inputs, folder=f"{config.root}/clean_labels", config=config, device=CPU
    )
    validation = Validation(
        data.val, clean=clean, label_loss=bce_sum, batch=batch, compat=CompatConfig(**switches),
        check=lambda: None,
    )  # fmt: skip
    return validation.scores(RedRoofs(height), mine=range(len(data.val)), ranks=ALONE)


def test_a_network_that_knows_the_truth_agrees_with_clean_labels_and_less_with_noisy_ones(
    data: Labelled, config: DataConfig
) -> None:
    found = scores(data, config)
    assert found["iou_clean"] > 0.99
    assert 0.2 < found["iou_noisy"] < 0.8
    assert found["iou"] == found["iou_noisy"]
    assert found["loss"] == pytest.approx(found["nll"], rel=1e-4)


def test_batch_size_changes_nothing_but_under_the_switch(data: Labelled, config: DataConfig) -> None:
    sound = [scores(data, config, batch=size) for size in (1, 3, 4)]
    averaged = [scores(data, config, batch=size, batch_metrics=True) for size in (1, 3, 4)]
    assert len({found["iou"] for found in sound}) == 1
    assert len({found["iou"] for found in averaged}) > 1


def test_foreground_begins_at_one_half_and_under_the_switch_at_a_logit_of_one_half(
    data: Labelled, config: DataConfig
) -> None:
    assert scores(data, config, height=0.3)["iou_clean"] > 0.99
    assert scores(data, config, height=0.3, logit_threshold=True)["iou_clean"] == 0
    assert scores(data, config, height=0.6, logit_threshold=True)["iou_clean"] > 0.99


def test_a_missing_clean_mask_is_told(data: Labelled, config: DataConfig, tmp_path: Path) -> None:
    opened = partial(open_second_labels, data.val, data.inputs, config=config, device=CPU)
    with pytest.raises(DataError, match=r"clean_labels: .* lacks 4 of 4 masks"):
        opened(folder=str(tmp_path))
