"""Opening a cache: which key, which mode can be had, and who makes the file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pkgs.data.cache.blueprint import Blueprint
from pkgs.data.cache.cache import Cache
from pkgs.data.cache.config import GIB, CacheConfig, Mode
from pkgs.data.cache.counters import Counters
from pkgs.data.cache.filling import Tick, fill_all, silent
from pkgs.data.cache.layout import lay_out
from pkgs.data.cache.recipe import BadItemError, Recipe
from pkgs.data.cache.room import NoPlaceError, Room
from pkgs.data.cache.shelf import Shelf
from pkgs.data.cache.sources import Sources, collect
from pkgs.data.cache.stores import PackedStore, SourceStore
from pkgs.data.cache.workers import usable_cores
from pkgs.data.items import Header, Preparation, Reader, Sample

log = logging.getLogger(__name__)


def open_cache(  # noqa: PLR0913 - all by name
    reader: Reader,
    samples: Sequence[Sample],
    *,
    root: Path,
    preparations: Sequence[Preparation] = (),
    config: CacheConfig | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    tick: Tick = silent,
    room: Room | None = None,
) -> Cache:
    """Open the cache of `samples`; the first job on a machine makes its file, all others find it.

    Give all samples of a data set, not those of one part of a split: then every split shares one file, and a
    part is a list of numbers.

    Args:
        reader: Decodes.
        samples: In the order that gives them their numbers.
        root: The data set's folder; moved as a whole, it keeps its cache.
        preparations: Deterministic changes, in this order, before an item is kept.
        config: Mode, folder and limits.
        device: Where mode `device` keeps them; elsewhere without meaning.
        workers: Processes of mode `pre_cache`; 0: one per core of the job.
        tick: Called with (done, of how many) while headers are read and items are made, for a heartbeat.
        room: What is asked of the machine; for tests.

    Raises:
        DataError: If there is no sample, ids are double, or samples hold different arrays.
    """
    config = config or CacheConfig()
    recipe = Recipe(reader, tuple(preparations), root=str(root), test_nan_inf=config.test_nan_inf)
    sources, digest = collect(samples, root=root, key_by=config.key_by)
    counters, mode = Counters(), config.mode
    store: PackedStore | SourceStore | None = None
    if mode != "disk":
        shelf = _shelf(config, room or Room())
        key = recipe.key(digest)
        try:
            file = shelf.obtain(
                key,
                draw=lambda: _draw(recipe, sources, samples=samples, key=key, boot=shelf.boot, tick=tick),
                tick=lambda: tick(0, len(samples)),
            )
            store = PackedStore(shelf, recipe, file=file, counters=counters)
        except NoPlaceError as error:
            log.warning("%s", error)
            mode = "disk"
    if isinstance(store, PackedStore) and mode == "pre_cache":
        fill_all(store, workers=workers or usable_cores(), tick=tick)
    store = store or SourceStore(recipe, sources, counters=counters)
    in_force: Mode = "live_cache" if mode == "device" else mode
    cache = Cache(store, mode=in_force, recipe=recipe, counters=counters)
    if config.mode == "device":
        cache.move_to(device or torch.device("cpu"), tick=tick)
    return cache


def _shelf(config: CacheConfig, room: Room) -> Shelf:
    return Shelf(
        config.place(),
        budget_bytes=int(config.budget_gib * GIB),
        keep_free_bytes=int(config.keep_free_gib * GIB),
        room=room,
    )


def _draw(  # noqa: PLR0913 - all by name
    recipe: Recipe, sources: Sources, *, samples: Sequence[Sample], key: str, boot: str, tick: Tick
) -> Blueprint:
    """Read all headers and give every array its place."""
    headers: list[Header | None] = []
    first: BadItemError | None = None
    for number, sample in enumerate(samples):
        try:
            headers.append(recipe.plan(sample))
        except BadItemError as error:
            headers.append(None)
            first = first or error
        tick(number + 1, len(samples))
    if first is not None and not any(headers):
        raise first
    refused = np.array([header is None for header in headers], dtype=np.bool_)
    return Blueprint(key, boot, lay_out(headers), sources, refused)
