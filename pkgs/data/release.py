"""The two releases of the first study: where they lie in EMPIAR, and how one comes into a folder.

A folder that holds the release stays as it is. Else an archive in it, or beside it, is unpacked; else it is
fetched. Nothing is unpacked whose checksum is not that of the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.data.fetch import check_recorded, fetch
from pkgs.data.formats.folders import descend
from pkgs.data.items import DataError, Reader, Sample
from pkgs.data.readers.cem_1500k import LEVELS as POOL_LEVELS
from pkgs.data.readers.cem_1500k import Cem1500k
from pkgs.data.readers.cem_mitolab import LEVELS as LABELLED_LEVELS
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.unpack import unpack

EMPIAR: Final = "https://ftp.ebi.ac.uk/empiar/world_availability"
FEW: Final = 0.9
"""A smaller share of the published count is told: something may be missing."""

Bar = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and how far it goes."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release: names and places as published, the counts too."""

    title: str
    accession: str
    reader: Reader
    levels: Sequence[tuple[str, ...]]
    archive: str
    """Where the archive lies, in EMPIAR's entry and below the user's folder."""
    workbook: str
    """Likewise, of what is known of the sources; empty: none."""
    images: int
    """About so many."""

    @property
    def url(self) -> str:
        return f"{EMPIAR}/{self.accession}/data/{self.archive}"

    def places(self, root: Path) -> list[Path]:
        """Return where an archive may lie below the user's folder."""
        parts = Path(self.archive).parts
        return [root.joinpath(*parts[start:]) for start in range(len(parts))]


RELEASES: Final = {
    "cem_mitolab": Release(
        title="CEM-MitoLab",
        accession="11037",
        reader=CemMitoLab(),
        levels=LABELLED_LEVELS,
        archive="CEM-MitoLab/data/cem_mitolab.zip",
        workbook="CEM-MitoLab/data/metadata/cem_mitolab_metadata.xlsx",
        images=21_900,
    ),
    "cem_1500k": Release(
        title="CEM1.5M",
        accession="11035",
        reader=Cem1500k(),
        levels=POOL_LEVELS,
        archive="CEM1500k_unlabelled/data/cem1.5m.zip",
        workbook="",
        images=1_500_000,
    ),
}


def obtain(  # noqa: PLR0913 - all by name
    release: Release,
    root: Path,
    *,
    archive: Path | None = None,
    download: bool = False,
    url: str = "",
    sha256: str = "",
    bar: Bar = lambda _what, _done, _total: None,
) -> list[Sample]:
    """Return the samples of the release below `root`, after bringing it there if need be.

    Args:
        release: Which.
        root: The folder that holds it, or will.
        archive: Unpack this one.
        download: Fetch the archive where neither it nor the release is there.
        url: Of the archive; empty: EMPIAR's.
        sha256: What the archive must have; empty: what was noted the first time.
        bar: Told of the progress.

    Raises:
        DataError: If there is nothing to take it from, or what is there is damaged or another set.
        OSError: If something cannot be written.
    """
    if _is_there(release, root):
        return release.reader.samples(root)
    found = archive or next((place for place in release.places(root) if place.is_file()), None)
    if found is None and download:
        found = root / release.archive
        fetch(url or release.url, found, bar=lambda done, total: bar(f"fetching {found}", done, total))
    if found is None or not found.is_file():
        raise DataError(_nothing(release, root, archive))
    root.mkdir(parents=True, exist_ok=True)
    check_recorded(
        found,
        folder=root,
        expected=sha256,
        bar=lambda done, total: bar(f"checking {found}", done, total),
    )
    goal = root.joinpath(*release.levels[0])
    goal.parent.mkdir(parents=True, exist_ok=True)
    unpack(
        found,
        goal,
        levels=release.levels,
        check=release.reader.samples,
        tick=lambda done, total: bar(f"unpacking {found}", done, total),
    )
    return release.reader.samples(root)


def remarks(release: Release, samples: Sequence[Sample]) -> list[str]:
    """Return what is odd about the number of samples."""
    if len(samples) >= FEW * release.images:
        return []
    return [
        f"{len(samples)} images; {release.title} has about {release.images}. Is that a part of it on purpose?"
    ]


def _is_there(release: Release, root: Path) -> bool:
    """Say whether the folder holds sources: below its named folders, or by itself."""
    if not root.is_dir():
        return False
    if any(level and descend(root, level) is not None for level in release.levels):
        return True
    try:
        return bool(release.reader.samples(root))
    except DataError:
        return False


def _nothing(release: Release, root: Path, archive: Path | None) -> str:
    if archive is not None:
        return f"{archive}: is no file. Give the archive {Path(release.archive).name} of {release.title}."
    told = f"Or give --archive FILE, or --fetch (EMPIAR-{release.accession})."
    try:
        release.reader.samples(root)
    except DataError as error:
        return f"{error} {told}"
    return f"{root}: holds no {release.title}. {told}"
