"""The data cache beside its peers: samples per second from a full cache, uint8 2 x 224 x 224, batches of 64.

Every contestant gives every image once per epoch, in an order of its own, as tensors that nobody else holds.
All caches are full before the first look: the first epoch of each is its warm-up.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.side_by_side import Measured
from pkgs.data.cache.config import CacheConfig, LoaderConfig, LoaderKind
from pkgs.data.cache.loader import Loader
from pkgs.data.cache.opening import open_cache
from pkgs.data.items import ArraySpec, Header, Item, Sample

SHAPE: Final = (2, 224, 224)
BATCH: Final = 64
WORKERS: Final = 2
COUNT: Final = 2048
"""200 MB: more than the caches of common processors hold."""
QUICK_COUNT: Final = 128
LOOK_S: Final = 0.5
"""A look lasts whole epochs, and at least so long."""
Epoch = Callable[[], Iterator[Tensor]]
OURS: Final = "ours"
OURS_PROCESSES: Final = "ours, worker processes"
PEERS: Final = {
    "cache_vs_manager": (OURS, "Manager().dict(), 2 workers", 10.0),
    "cache_vs_monai": (OURS, "MONAI CacheDataset(runtime_cache='processes'), 2 workers", 5.0),
    "cache_vs_persistent": (OURS, "MONAI PersistentDataset, 2 workers", 20.0),
    "cache_vs_copy": (OURS, "a plain memory copy", 0.6),
    "cache_processes_vs_manager": (OURS_PROCESSES, "Manager().dict(), 2 workers", 2.0),
}
"""Who stands beside whom, and the ratio to reach."""


@dataclass(frozen=True)
class Npy:
    """Images of one shape as .npy files."""

    name: str = "benchmark_npy"
    version: int = 1

    def samples(self, root: Path) -> list[Sample]:
        return [Sample(path.stem, path.stem, {"image": path}) for path in sorted(root.glob("*.npy"))]

    def header(self, sample: Sample) -> Header:
        del sample
        return Header({"image": ArraySpec("image", "uint8", SHAPE)})

    def read(self, sample: Sample) -> Item:
        return {"image": np.load(sample.files["image"])}


class ManagerSet(torch.utils.data.Dataset[Tensor]):
    """Arrays behind one manager process, as many trainings keep them."""

    def __init__(self, shared: Mapping[int, Any], count: int) -> None:
        self.shared, self.count = shared, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.shared[index])


class LoadNpy:
    """A transform of MONAI's kind: a path in, a tensor out."""

    def __call__(self, path: str) -> Tensor:
        return torch.from_numpy(np.load(path))


def measure(*, repeats: int, quick: bool) -> list[Measured]:
    """Return samples per second of all, repeat by repeat in turns; `quick` looks at one small epoch each."""
    look_s = 0.0 if quick else LOOK_S
    rates: dict[str, list[float]] = {}
    with contestants(QUICK_COUNT if quick else COUNT) as epochs:
        for epoch in epochs.values():
            rate(epoch, 0.0)
        for _ in range(repeats):
            for name, epoch in epochs.items():
                rates.setdefault(name, []).append(rate(epoch, look_s))
    return [_measured(name, ours, peer, target, rates) for name, (ours, peer, target) in PEERS.items()]


@contextmanager
def contestants(count: int) -> Iterator[dict[str, Epoch]]:
    """Give one epoch of each contestant by its name; those that are not installed are left out."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="queuemanager-cache-")))
        images = _write(root / "set", count)
        paths = [str(path) for path in sorted((root / "set").glob("*.npy"))]
        yield {
            OURS: _ours(stack, root, "inline"),
            OURS_PROCESSES: _ours(stack, root, "process"),
            "Manager().dict(), 2 workers": _manager(stack, images),
            "a plain memory copy": lambda: _copies(images),
            **_monai(root, paths),
        }


def rate(epoch: Epoch, look_s: float) -> float:
    """Return samples per second over whole epochs that last at least `look_s` together."""
    items, begin_s = 0, time.perf_counter()
    while True:
        for batch in epoch():
            items += len(batch)
        passed_s = time.perf_counter() - begin_s
        if passed_s >= look_s:
            return items / passed_s


def _write(root: Path, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    root.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    for number, image in enumerate(images):
        np.save(root / f"{number:06d}.npy", image)
    return images


def _ours(stack: ExitStack, root: Path, kind: LoaderKind) -> Epoch:
    reader = Npy()
    samples = reader.samples(root / "set")
    config = CacheConfig(folder=str(root / "cache"), keep_free_gib=0)
    cache = stack.enter_context(open_cache(reader, samples, root=root / "set", config=config))
    settings = LoaderConfig(kind=kind, workers=WORKERS)
    loader = stack.enter_context(Loader(cache, indices=range(len(samples)), seed=0, config=settings))
    starts = iter(range(0, 2**62, BATCH))

    def epoch() -> Iterator[Tensor]:
        for _ in range(len(samples) // BATCH):
            start = next(starts)
            yield loader.fetch(range(start, start + BATCH)).arrays["image"]

    return epoch


def _manager(stack: ExitStack, images: np.ndarray[Any, np.dtype[np.uint8]]) -> Epoch:
    manager = stack.enter_context(multiprocessing.Manager())
    shared = manager.dict(dict(enumerate(images)))
    loader = torch.utils.data.DataLoader(
        ManagerSet(shared, len(images)), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    return lambda: iter(loader)


def _monai(root: Path, paths: Sequence[str]) -> dict[str, Epoch]:
    try:
        from monai.data import CacheDataset, DataLoader, PersistentDataset  # noqa: PLC0415
    except ImportError:
        return {}
    settings = {"batch_size": BATCH, "shuffle": True, "num_workers": WORKERS, "persistent_workers": True}
    cached = CacheDataset(paths, LoadNpy(), runtime_cache="processes", progress=False)
    persistent = PersistentDataset(paths, LoadNpy(), cache_dir=root / "persistent")
    loaders = {
        "MONAI CacheDataset(runtime_cache='processes'), 2 workers": DataLoader(cached, **settings),
        "MONAI PersistentDataset, 2 workers": DataLoader(persistent, **settings),
    }
    return {name: lambda loader=loader: iter(loader) for name, loader in loaders.items()}


def _copies(images: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[Tensor]:
    """Yield neighbouring images: one call of memcpy per batch, the least that any cache can do."""
    for start in range(0, len(images), BATCH):
        yield torch.from_numpy(images[start : start + BATCH].copy())


def _measured(
    name: str, ours: str, peer: str, target: float, rates: Mapping[str, Sequence[float]]
) -> Measured:
    note = "" if peer in rates else "MONAI is not installed."
    return Measured(
        name=name,
        ours=tuple(rates[ours]),
        peer=tuple(rates.get(peer, ())),
        unit="items/s",
        higher_is_better=True,
        target=target,
        peer_name=peer,
        note=note,
    )
