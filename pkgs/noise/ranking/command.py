"""`python -m pkgs.noise rank`: joins data, predictions, scores, cut and exports into one ranking."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path
from typing import Final

import numpy as np

from pkgs.data.items import DataError
from pkgs.data.patch_maps import PROBABILITY, WRONG
from pkgs.data.split import split_file
from pkgs.data.whole_folder import is_synthetic
from pkgs.foundation import exit_codes
from pkgs.foundation.config import digest, dump_yaml, load_config
from pkgs.foundation.files import write_json, write_whole
from pkgs.foundation.run_folder import RunFolder
from pkgs.noise import cut
from pkgs.noise.patch_view import PatchView
from pkgs.noise.ranking import exports, marks, scoring, tables
from pkgs.noise.ranking.config import RankConfig
from pkgs.noise.ranking.draft import drafted
from pkgs.noise.ranking.gathering import Detector, Seen, gather
from pkgs.noise.ranking.patches import GivenLabels, Patches, chunks, find_patches
from pkgs.noise.ranking.tables import Ranked
from pkgs.noise.ranking.truth import read_truth
from pkgs.noise.review import Mark, read_review
from pkgs.noise.scores import Scores
from pkgs.training.arguments import DEFAULT_ROOT
from pkgs.training.heartbeat import Heartbeat

PURPOSE: Final = "Rank the labels of a set from least to most noisy; trains nothing, changes no input."
REVIEWED: Final = "reviewed"
REVIEW: Final = "review.csv"
OPTIONAL: Final = (exports.PIXELS, REVIEWED)
"""What a ranking writes only with an error teacher, or only after a review."""
KINDS: Final[Mapping[str, tuple[str, Seen]]] = {
    "student": (PROBABILITY, "never"),
    "in_sample": (PROBABILITY, "always"),
    "supervised": (PROBABILITY, "never"),
    "supervised_in_sample": (PROBABILITY, "always"),
    "error_teacher": (WRONG, "never"),
    "clean_error_teacher": (WRONG, "whatever"),
    "teacher": (PROBABILITY, "whatever"),
    "compat": (PROBABILITY, "whatever"),
}
"""Which maps the runs of a setting left, and what must hold of their training."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do."""

    config: Path
    folder: RunFolder
    root: str
    overrides: tuple[str, ...]
    review: str
    check: bool


def main(argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit code."""
    asked = _parse(argv, os.environ)
    try:
        config = load_config(
            RankConfig, asked.config, overrides=asked.overrides, variables={"root": asked.root}
        )
        if asked.review:
            config = config.model_copy(update={"review": asked.review})
        sentence = _check(asked, config) if asked.check else _rank(asked, config)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    except OSError as error:
        what = f"{error.filename or asked.folder.path}: {error.strerror or error}"
        sys.stderr.write(f"{what}. What lay there stays; mend this and give the same command again.\n")
        return exit_codes.FAILED
    except KeyboardInterrupt:
        sys.stderr.write(
            f"{asked.folder.path}: stopped. What lay there stays; the same command begins anew.\n"
        )
        return exit_codes.INTERRUPTED
    sys.stdout.write(f"{sentence}\n")
    return exit_codes.OK


def _parse(argv: Sequence[str], environment: Mapping[str, str]) -> Asked:
    parser = argparse.ArgumentParser(
        prog="python -m pkgs.noise rank",
        description=PURPOSE,
        epilog="Example: python -m pkgs.noise rank --config configs/noise/rank.yaml --review review.csv",
    )
    parser.add_argument("--config", type=Path, required=True, help="configs/noise/rank.yaml")
    parser.add_argument("--run-dir", type=Path, help="QUEUE_RUN_DIR, else logs_and_checkpoints/noise/rank")
    parser.add_argument("--review", default="", metavar="FILE", help="marks, as the gallery exports them")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=VALUE",
        help="override one setting, or with @FILE those of a file",
    )
    parser.add_argument("--check", action="store_true", help="look at data and runs; rank nothing")
    given = parser.parse_args(argv)
    root = environment.get("QUEUE_ROOT") or DEFAULT_ROOT
    folder = given.run_dir or environment.get("QUEUE_RUN_DIR") or Path(root) / "noise" / given.config.stem
    return Asked(given.config, RunFolder(Path(folder)), root, tuple(given.set), given.review, given.check)


def _check(asked: Asked, config: RankConfig) -> str:
    patches = find_patches(config.data)
    detectors = detectors_of(config, patches)
    _marks_of(config, patches)
    return (
        f"{asked.config}: {len(patches)} patches, {len(detectors.student.seeds)} seeds, nothing is missing."
    )


def _rank(asked: Asked, config: RankConfig) -> str:
    """Score, cut and write the run folder; scores.csv comes last and marks the end."""
    folder = asked.folder
    _require_apart(Path(config.data.root), folder.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    with Heartbeat(folder, title="rank") as heart:
        patches = find_patches(config.data, tick=heart.beat)
        detectors, said_of = detectors_of(config, patches), _marks_of(config, patches)
        ranked, score = _ranked(config, patches, detectors, said_of, heart=heart)
        with drafted(folder.path, last=tables.SCORES, optional=OPTIONAL) as draft:
            views = exports.views(
                patches, detectors, order=ranked.order, score=score, p_noisy=ranked.rate.p_noisy
            )
            exports.export(_counted(views, heart), folder=draft, marks=said_of)
            if said_of:
                corrected = draft / exports.CORRECTED
                marks.write_reviewed(draft / REVIEWED, patches, said=ranked.said, corrected=corrected)
                shutil.copyfile(config.review, draft / REVIEW)  # it may lie in the gallery, which is replaced
            tables.write_tables(draft, ranked)
            _write_down(draft, config)
    rate = ranked.rate
    return (
        f"{folder.path}: {len(patches)} patches ranked by {config.by}, {int(rate.noisy.sum())} cut; "
        f"estimated noise rate {rate.estimate:.3f} ({rate.interval[0]:.3f} to {rate.interval[1]:.3f}). "
        f"{cut.ASSUMPTION}"
    )


def detectors_of(config: RankConfig, patches: Patches) -> scoring.Detectors:
    """Return the predictions that the settings name.

    Raises:
        DataError: Tells at once whatever is missing or was judged by a network that saw it.
    """
    runs = config.runs.model_dump()
    if config.compat.in_sample:
        runs["student"] = runs["in_sample"]
    found: dict[str, Detector] = {}
    faults: list[str] = []

    def take(name: str, pattern: str, *, maps: str, seen: Seen) -> None:
        try:
            found[name] = gather(pattern, what=f"runs.{name}", maps=maps, seen=seen, patches=patches)
        except DataError as error:
            faults.append(str(error))

    for name, (maps, seen) in KINDS.items():
        if runs[name]:
            in_sample = name == "student" and config.compat.in_sample
            take(name, runs[name], maps=maps, seen="always" if in_sample else seen)
    conditions = _conditions(runs["left_out"])
    for name, pattern in conditions.items():
        take(name, pattern, maps=WRONG, seen="whatever")
    if runs["left_out"] and not conditions:
        faults.append(f"runs.left_out: no run folder matches {runs['left_out']}.")
    if faults:
        raise DataError("\n".join(faults))
    left_out = {name: found.pop(name) for name in conditions}
    return scoring.Detectors(left_out=left_out, **found)


def _conditions(pattern: str) -> dict[str, str]:
    """Return a pattern for each folder that holds `seed_*`, by its name."""
    above = sorted({Path(found).parent for found in glob(pattern)}) if pattern else []
    return {folder.name: str(Path(escape(str(folder))) / Path(pattern).name) for folder in above}


def _ranked(
    config: RankConfig,
    patches: Patches,
    detectors: scoring.Detectors,
    said_of: Mapping[str, Mark],
    *,
    heart: Heartbeat,
) -> tuple[Ranked, Scores]:
    """Return the ranking and the score that it is by."""
    heart.steps = 3 * len(patches)  # class means, scores, exports; injecting noise counts as waiting
    work = scoring.Scoring(
        labels=GivenLabels(patches, tick=heart.beat),
        detectors=detectors,
        pieces=chunks(len(patches), side_px=patches.side_px, chunk_px=config.chunk_px),
        compat=config.compat,
        moved=lambda count: heart.moved(heart.step + count, epoch=0),
        tick=heart.beat,
    )
    columns, doubts = scoring.score(work)
    score = scoring.chosen(columns, config.by)
    clean = cut.cleanest(columns["combined"], doubts)
    noisy = scoring.rescore_injected(work, places=clean, ids=patches.ids, noisy_above=config.noisy_above)
    curve = cut.fit(columns, clean=clean, noisy=noisy)
    rate = cut.noise_rate(curve, columns, groups=patches.groups)
    said = marks.words(patches.names, said_of)
    order = scoring.order_of(score, patches.names, blocks=(marks.BLOCK[word] for word in said))
    truth = None
    if config.truth:
        truth = read_truth(Path(config.truth), patches, empty=config.truth_empty)
    cleanest_iou = float(np.median(columns["iou"][clean]))
    warning = cut.doubtful(cleanest_iou, noisy_above=config.noisy_above)
    if warning is not None:
        heart.say(f"Warning: {warning}")
    return Ranked(patches, columns, order, rate, config.noisy_above, cleanest_iou, said, truth), score


def _marks_of(config: RankConfig, patches: Patches) -> dict[str, Mark]:
    return read_review(Path(config.review), known=set(patches.names)) if config.review else {}


def _require_apart(root: Path, folder: Path) -> None:
    """Refuse a run folder whose replaced contents would be inputs."""
    if folder.resolve() in (root.resolve(), *root.resolve().parents):
        raise DataError(
            f"{root}: the data lie in the run folder {folder}, whose contents are replaced. "
            "Give another --run-dir."
        )


def _counted(views: Iterable[PatchView], heart: Heartbeat) -> Iterator[PatchView]:
    for view in views:
        yield view
        heart.moved(heart.step + 1, epoch=0)


def _write_down(draft: Path, config: RankConfig) -> None:
    """Keep the settings and where the ranking comes from."""
    from pkgs.foundation.provenance import collect, digest_file  # noqa: PLC0415 - asks git and all packages

    data = config.data
    folds = split_file(Path(data.root), data.split)
    told = collect(sys.argv, data_fingerprint=digest_file(folds), config_digest=digest(config))
    about = {"root": data.root, "split": data.split.file_name, "synthetic": is_synthetic(Path(data.root))}
    write_json(draft / "provenance.json", {**told, "data": about})
    write_whole(draft / "config.yaml", dump_yaml(config))
