"""Whether the images are still those that a split was made of; asked once for each state of the files.

Loads no torch.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pkgs.data.cache.sources import collect
from pkgs.data.config import DataConfig
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import DataError, Sample

log = logging.getLogger(__name__)
FOLDER: Final = "unchanged"
"""Below the folder of the cache; one empty file per state of a data set and split."""


def refuse_changed(
    samples: Sequence[Sample],
    *,
    digests: Mapping[str, str],
    config: DataConfig,
    digest: Callable[[Path], str] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Refuse images whose pixels are not those of the split.

    Decodes every image, unless this very state of the files was found unchanged before.

    Args:
        samples: All of the data set.
        digests: What the split file says about each image.
        config: Where the set and the cache lie, and what tells a changed file.
        digest: Of one image file; that with which the split was written; None: `digest_image`.
        tick: Called after each image, for a heartbeat.

    Raises:
        DataError: Names the first image that has changed.
    """
    mark = _mark(samples, digests, config)
    if mark.exists():
        return
    digest = digest or digest_image
    for sample in samples:
        image = sample.files["image"]
        if digest(image) != digests[sample.id]:
            raise DataError(
                f"{image}: its pixels have changed since the split was written. Restore the file, "
                "or start with a new data.split.name."
            )
        tick()
    _remember(mark)


def remember_unchanged(samples: Sequence[Sample], *, digests: Mapping[str, str], config: DataConfig) -> None:
    """Note that this state of the files is that of the split, which was made of it just now."""
    _remember(_mark(samples, digests, config))


def _mark(samples: Sequence[Sample], digests: Mapping[str, str], config: DataConfig) -> Path:
    _, state = collect(samples, root=Path(config.root), key_by=config.cache.key_by)
    total = hashlib.sha256(state)
    for sample in samples:
        total.update(f"{sample.id}\0{digests[sample.id]}\0".encode())
    return config.cache.place() / FOLDER / total.hexdigest()[:32]


def _remember(mark: Path) -> None:
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        log.warning("%s: cannot be written (%s); every start will read all images.", mark, error.strerror)
