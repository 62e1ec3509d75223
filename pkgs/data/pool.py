"""The unlabelled images: all but those that val or test know, in an order of their own.

An image whose source, or whose very pixels, occur in val or test is left out: else a student would be tested
on what it was taught. Labels are in no batch; the masks of a synthetic pool are for evaluation only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pkgs.data.cache.cache import Cache
from pkgs.data.cache.loader import Fetched, Loader
from pkgs.data.cache.opening import open_cache
from pkgs.data.catalog import READERS
from pkgs.data.config import DataConfig, PoolConfig
from pkgs.data.content import digests_of, number_of
from pkgs.data.items import DataError, Sample
from pkgs.data.prepare.grey_codes import GreyCodes
from pkgs.data.prepare.resize import Resize
from pkgs.data.readers.cem_truth import CemTruth, truth_beside
from pkgs.data.samples import Images, Part, open_images, require_grey
from pkgs.data.split import Entry
from pkgs.foundation.registry import choose
from pkgs.foundation.seeds import Purpose, derive

log = logging.getLogger(__name__)
JUDGES: Final = ("val", "test")


@dataclass(frozen=True, slots=True)
class PoolPart:
    """Some unlabelled images of a cache, by their numbers in it. As `samples.Part`, without labels."""

    cache: Cache
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def ids(self) -> list[str]:
        return [self.cache.ids[int(number)] for number in self.numbers]

    @property
    def sources(self) -> list[str]:
        return [self.cache.groups[int(number)] for number in self.numbers]

    def batch(self, places: NDArray[np.int64]) -> Images:
        """Return the images at these places of the part.

        Raises:
            DataError: The first that cannot be used.
        """
        numbers = self.numbers[places]
        image_BCHW = self.cache.gather(numbers)["image"]
        return Images(image_BCHW, tuple(self.cache.ids[int(number)] for number in numbers))

    def fetched(self, fetched: Fetched) -> Images:
        """Return what a loader of this part has fetched."""
        return Images(fetched.arrays["image"], fetched.ids)

    def between(self, places: range) -> PoolPart:
        """Return some neighbours of the part."""
        return replace(self, numbers=self.numbers[places.start : places.stop])


@dataclass(frozen=True, slots=True)
class Pool:
    """Unlabelled images that may be trained on."""

    part: PoolPart
    dropped: int
    """Images that were left out because val or test know them."""
    truth: Part | None
    """The same images with their masks, place by place; None on real data. Never to be trained on."""


def open_pool(  # noqa: PLR0913 - all by name
    config: PoolConfig,
    *,
    entries: Sequence[Entry],
    data: DataConfig,
    device: torch.device,
    keep_overlap: bool = False,
    tick: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = log.info,
) -> Pool:
    """Open the unlabelled images; a machine's first job reads each once, to compare it with val and test.

    Args:
        config: Where they lie, how many, and their cache.
        entries: The split of the labelled images.
        data: Of the labelled images: the pool gets their size and depth.
        device: Where mode `device` keeps them.
        keep_overlap: Leave nothing out, as the reference did.
        tick: Called between images, for a heartbeat.
        say: Told how far it is, and how many were left out.

    Raises:
        DataError: If there is no image, or none is left.
    """
    root = Path(config.root)
    reader = choose("layout", READERS, config.layout)()
    samples = spread(reader.samples(root), count=config.max_images)
    known: NDArray[np.bool_] = np.zeros(len(samples), dtype=np.bool_)
    if not keep_overlap:
        known = _by_source(samples, entries)
        copies = _by_content(samples, entries, config=config, tick=tick, say=say) & ~known
        say(
            f"{config.root}: {int(known.sum() + copies.sum())} of {len(samples)} unlabelled images left out: "
            f"{int(known.sum())} of sources in val or test, {int(copies.sum())} copies of their images."
        )
        known |= copies
    if known.all():
        raise DataError(
            f"{config.root}: val or test know all {len(samples)} unlabelled images. Add other sources, "
            "or choose another split."
        )
    cache = open_cache(
        reader,
        samples,
        root=root,
        preparations=(GreyCodes(data.depth_bits), Resize((data.size_px, data.size_px))),
        config=config.cache,
        device=device,
        tick=lambda _done, _total: tick(),
    )
    require_grey(cache, config.root)
    numbers = np.flatnonzero(~known)
    truth = _truth(config, numbers, first=samples[0], data=data, device=device, tick=tick)
    return Pool(PoolPart(cache, numbers), int(known.sum()), truth)


def open_loader(
    part: PoolPart, *, config: PoolConfig, seed: int, draws: int | None = None, bad_file: Path | None = None
) -> Loader:
    """Return the batches of the pool for a run, in an order that no labelled image shares.

    Args:
        part: Which images.
        config: Kind of loader, helpers, limits.
        seed: The run's.
        draws: How many images the run sees; nothing beyond is prepared.
        bad_file: Where bad images are listed.
    """
    order = derive(seed, Purpose.POOL)
    return Loader(
        part.cache,
        indices=part.numbers,
        seed=order,
        config=config.loader,
        draws=draws,
        bad_file=bad_file,
    )


def spread(samples: Sequence[Sample], *, count: int) -> list[Sample]:
    """Return `count` of the samples, chosen by their ids alone, in their order; all where `count` is 0."""
    if not 0 < count < len(samples):
        return list(samples)
    chosen = sorted(range(len(samples)), key=lambda k: derive(0, Purpose.POOL, samples[k].id))[:count]
    return [samples[number] for number in sorted(chosen)]


def _by_source(samples: Sequence[Sample], entries: Sequence[Entry]) -> NDArray[np.bool_]:
    """Return which samples are of a source in val or test; names are compared without case."""
    judges = {entry.group.casefold() for entry in entries if entry.split in JUDGES}
    return np.array([sample.group.casefold() in judges for sample in samples], dtype=np.bool_)


def _by_content(
    samples: Sequence[Sample],
    entries: Sequence[Entry],
    *,
    config: PoolConfig,
    tick: Callable[[], None],
    say: Callable[[str], None],
) -> NDArray[np.bool_]:
    """Return which samples have the very pixels of an image in val or test."""
    judges = [number_of(entry.digest) for entry in entries if entry.split in JUDGES and entry.digest]
    digests = digests_of(samples, root=Path(config.root), config=config.cache, tick=tick, say=say)
    return np.isin(digests, np.array(judges, dtype=np.uint64))


def _truth(  # noqa: PLR0913 - all by name
    config: PoolConfig,
    numbers: NDArray[np.int64],
    *,
    first: Sample,
    data: DataConfig,
    device: torch.device,
    tick: Callable[[], None],
) -> Part | None:
    if config.layout != "cem_1500k" or truth_beside(first) is None:
        return None
    reader = CemTruth()
    samples = spread(reader.samples(Path(config.root)), count=config.max_images)
    lazy = config.cache.model_copy(update={"mode": "disk" if config.cache.mode == "disk" else "live_cache"})
    alike = data.model_copy(update={"root": config.root, "cache": lazy})  # few of them are ever looked at
    return Part(open_images(samples, reader=reader, config=alike, device=device, tick=tick), numbers)
