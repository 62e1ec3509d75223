"""A split refuses images that are no longer those it was made of, and looks once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pkgs.data import unchanged
from pkgs.data.cache.config import CacheConfig
from pkgs.data.config import DataConfig
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import DataError, Sample
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.unchanged import refuse_changed, remember_unchanged
from tests.builders.cem_mitolab import write_cem_mitolab


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return CemMitoLab().samples(write_cem_mitolab(tmp_path / "set", sources=1))


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    return DataConfig(root=str(tmp_path / "set"), cache=CacheConfig(folder=str(tmp_path / "cache")))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []

    def counting(path: Path) -> str:
        seen.append(path)
        return digest_image(path)

    monkeypatch.setattr(unchanged, "digest_image", counting)
    return seen


def digests_of(samples: list[Sample]) -> dict[str, str]:
    return {sample.id: digest_image(sample.files["image"]) for sample in samples}


def test_images_are_looked_at_once(samples: list[Sample], config: DataConfig, decoded: list[Path]) -> None:
    digests = digests_of(samples)
    for _ in range(3):
        refuse_changed(samples, digests=digests, config=config)
    assert len(decoded) == len(samples)


def test_whoever_wrote_the_split_has_looked(
    samples: list[Sample], config: DataConfig, decoded: list[Path]
) -> None:
    digests = digests_of(samples)
    remember_unchanged(samples, digests=digests, config=config)
    refuse_changed(samples, digests=digests, config=config)
    assert decoded == []


def test_a_changed_image_is_refused_also_after_a_look(samples: list[Sample], config: DataConfig) -> None:
    digests = digests_of(samples)
    refuse_changed(samples, digests=digests, config=config)
    samples[0].files["image"].write_bytes(samples[1].files["image"].read_bytes())
    with pytest.raises(DataError, match="pixels have changed since the split was written"):
        refuse_changed(samples, digests=digests, config=config)


def test_another_split_of_the_same_files_is_looked_at_anew(samples: list[Sample], config: DataConfig) -> None:
    refuse_changed(samples, digests=digests_of(samples), config=config)
    with pytest.raises(DataError, match="pixels have changed"):
        refuse_changed(samples, digests=dict.fromkeys(digests_of(samples), "0" * 16), config=config)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_folder_that_cannot_be_written_costs_only_time(
    samples: list[Sample], config: DataConfig, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    refuse_changed(samples, digests=digests_of(samples), config=config)
