"""Masks from another folder than the set's own, and the list of those that may train. Decodes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pkgs.data.formats.folders import files_by_stem
from pkgs.data.formats.grey_image import ENDINGS
from pkgs.data.items import DataError, Sample, listed


def with_labels(
    samples: Sequence[Sample],
    *,
    folder: str,
    parts: Collection[str],
    part_of: Mapping[str, str],
    setting: str,
) -> list[Sample]:
    """Return the samples, those of some parts with the mask of the same name in another folder.

    Args:
        samples: All of a set.
        folder: Holds one mask per sample of these parts, in the coding of the set's own; may hold more.
            Empty: the samples stay as they are.
        parts: Of the split.
        part_of: The part of each sample's id.
        setting: Named in errors.

    Raises:
        DataError: If the folder or masks are missing, or a name is not that of one sample alone.
    """
    if not folder:
        return list(samples)
    if not Path(folder).is_dir():
        raise DataError(
            f"{setting}: {folder} is not a folder, seen from {Path.cwd()}; expected one mask per image, of "
            "equal names."
        )
    masks = files_by_stem(Path(folder), ENDINGS)
    names = {sample.id: sample.id.rpartition("/")[2] for sample in samples if part_of.get(sample.id) in parts}
    missing = sorted(name for name in names.values() if name not in masks)
    if missing:
        raise DataError(
            f"{setting}: {folder} lacks {len(missing)} of {len(names)} masks: {listed(missing)}. "
            "Masks bear the names of the images; write the missing ones, or leave the setting out."
        )
    counts = Counter(names.values())
    doubles = sorted(id_ for id_, name in names.items() if counts[name] > 1)
    if doubles:
        raise DataError(
            f"{setting}: one mask in {folder} would be that of several images: {listed(doubles)}. "
            "Rename the images."
        )
    return [
        replace(sample, files={**sample.files, "label": masks[names[sample.id]]})
        if sample.id in names
        else sample
        for sample in samples
    ]


def read_keep(path: Path, *, part_of: Mapping[str, str]) -> frozenset[str]:
    """Return the ids in a list of those that may train.

    Args:
        path: One id per line; empty lines do not count.
        part_of: The part of each sample's id.

    Raises:
        DataError: If it cannot be read, names what is no sample, or leaves nothing to train on.
    """
    try:
        kept = frozenset(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"data.keep: {path} cannot be read ({error}); expected a text file, one sample's id per line."
        ) from None
    unknown = sorted(kept - part_of.keys())
    if unknown:
        raise DataError(
            f"data.keep: {path} names {len(unknown)} ids that the data lack: {listed(unknown)}. "
            "Is it the list of this set? Ids have no ending."
        )
    if not any(part_of[id_] == "train" for id_ in kept):
        raise DataError(
            f"data.keep: {path} names {len(kept)} ids, none of them in train; nothing is left to train on."
        )
    return kept
