"""A release made ready: there, looked through to the last file, its sources described, its split written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pkgs.data.config import SplitConfig
from pkgs.data.fetch import fetch
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import DataError, Sample, listed
from pkgs.data.release import EMPIAR, RELEASES, Bar, Release, obtain, remarks
from pkgs.data.source_facts import FILE, write_facts
from pkgs.data.split import check_leaks, fitting, read_split, split_file, write_split
from pkgs.data.verify import Findings, verify


@dataclass(frozen=True, slots=True)
class From:
    """Where a release is taken from."""

    root: Path
    archive: Path | None = None
    url: str = ""
    sha256: str = ""
    fetch: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is there now."""

    findings: Findings
    said: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(
    name: str, source: From, *, bar: Bar, workbook: Path | None = None, split: SplitConfig | None = None
) -> Prepared:
    """Bring the release there and look through it; with `split`, write how it is divided.

    Args:
        name: Of the release.
        source: Where from.
        bar: Told of the progress of each step.
        workbook: About the sources; None: the release's own, where it is there or can be fetched.
        split: How labelled images are divided; None for those without labels.

    Raises:
        DataError: If there is nothing to take the release from, or it is damaged or of another layout.
        OSError: If something cannot be written.
    """
    release, root = RELEASES[name], source.root
    samples = obtain(
        release,
        root,
        archive=source.archive,
        download=source.fetch,
        url=source.url,
        sha256=source.sha256,
        bar=bar,
    )
    done = 0

    def read() -> None:
        nonlocal done
        done += 1
        bar(f"reading {root}", done, len(samples))

    findings = verify(release.reader, samples, tick=read)
    said: list[str] = []
    warnings = remarks(release, samples)
    warnings += _describe(release, source, samples, workbook=workbook, said=said, bar=bar)
    if split is not None and not findings.faults:
        said.append(_divide(root, samples, split=split, warnings=warnings, bar=bar))
    return Prepared(findings, tuple(said), tuple(warnings))


def _describe(  # noqa: PLR0913 - all by name
    release: Release,
    source: From,
    samples: Sequence[Sample],
    *,
    workbook: Path | None,
    said: list[str],
    bar: Bar,
) -> list[str]:
    """Write what the workbook knows of the sources; return what is odd. Without one nothing is missing."""
    own, download = source.root / release.workbook, source.fetch and not source.url
    if not release.workbook or (workbook is None and not own.exists() and not download):
        return []
    try:
        if workbook is None and not own.exists():
            url = f"{EMPIAR}/{release.accession}/data/{release.workbook}"
            fetch(url, own, bar=lambda done, total: bar(f"fetching {own}", done, total), attempts=1)
        unmatched = write_facts(source.root, {s.group for s in samples}, workbook=workbook or own)
    except DataError as error:
        if workbook is not None:
            raise
        return [f"{error} The sources stay undescribed; no training needs it."]
    said.append(f"{source.root / FILE}: written.")
    return [f"{len(unmatched)} sources are not in the workbook: {listed(unmatched)}."] if unmatched else []


def _divide(
    root: Path, samples: Sequence[Sample], *, split: SplitConfig, warnings: list[str], bar: Bar
) -> str:
    """Write the split file, or compare the one that is there; a training with these settings reads it."""
    path = split_file(root, split)
    there = path.exists()
    if not there:
        digests = {}
        for number, sample in enumerate(samples, start=1):
            digests[sample.id] = digest_image(sample.files["image"])
            bar(f"comparing {root}", number, len(samples))
        write_split(path, samples, config=split, digests=digests)
    entries = read_split(path)
    fitting(path, entries, samples=samples, config=split)
    check_leaks(entries, config=split, warn=warnings)
    counts = {part: sum(entry.split == part for entry in entries) for part in ("train", "val", "test")}
    told = ", ".join(f"{count} {part}" for part, count in counts.items())
    return f"{path} {'was there already' if there else 'written'}: {told}."
