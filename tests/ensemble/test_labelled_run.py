"""The labelled data of a run: its parts, its warnings, its batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pkgs.data.config import DataConfig
from pkgs.data.labelled import open_labelled
from pkgs.ensemble.labelled_run import load, loader_of
from pkgs.training.ranks import Ranks
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.line_program import LineConfig, Study, start_of
from tests.builders.lines import CPU, line_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    root = write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=8)
    split = {"min_sources": 1, "max_source_share": 0.2, "train": 0.8, "val": 0.1, "test": 0.1}
    return DataConfig.model_validate({"root": str(root), "size_px": 32, "split": split})


def test_a_short_training_sees_the_first_batch_of_each_part(config: DataConfig, tmp_path: Path) -> None:
    short = LineConfig(training=line_config(batch_samples=2, short_training=True))
    whole = load(config, start_of(tmp_path, Study(), ranks=Ranks(CPU)))
    data = load(config, start_of(tmp_path, Study(), ranks=Ranks(CPU), config=short))
    for part, every in ((data.train, whole.train), (data.val, whole.val), (data.test, whole.test)):
        assert part.ids == every.ids[:2] != every.ids


def test_objects_are_there_for_the_judge_and_on_request_for_all(config: DataConfig) -> None:
    data = open_labelled(config, device=torch.device("cpu"))
    assert (data.train.instances, data.val.instances) == (None, None)
    every = data.with_objects()
    assert every.train.instances is every.val.instances is every.test.instances is data.test.instances
    assert every.train.ids == data.train.ids


def test_batches_depend_on_the_seed_and_end_with_the_run(config: DataConfig, tmp_path: Path) -> None:
    start = start_of(tmp_path, Study(), ranks=Ranks(CPU))
    data = load(config, start)
    with (
        loader_of(data.train, start, config=config) as first,
        loader_of(data.train, start, config=config) as other,
    ):
        assert first.draws == 18
        assert first.bad.file == tmp_path / "bad_samples.csv"
        assert first.fetch(range(3)).ids == other.fetch(range(3)).ids
