"""`python -m pkgs.reports STUDY`: tables, statistics and figures of a study from its run folders."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pkgs.foundation import exit_codes


def main(arguments: Sequence[str] | None = None, *, environment: Mapping[str, str] | None = None) -> int:
    """Write the report and print its main sentences; return the exit code.

    Args:
        arguments: The command line without the program's name; `sys.argv` by default.
        environment: Where the queue's variables are looked up; the process's own by default.
    """
    surroundings = os.environ if environment is None else environment
    options = _parser(surroundings).parse_args(arguments)
    out = options.out or _default_out(options.root, options.study, surroundings)
    from pkgs.foundation.config import ConfigError  # noqa: PLC0415 - `--help` needs neither this
    from pkgs.reports.build import write_report  # noqa: PLC0415 - nor matplotlib
    from pkgs.reports.plan import find_plan, read_plan  # noqa: PLC0415
    from pkgs.reports.runs import StudyError  # noqa: PLC0415

    path = options.plan or (None if options.base else find_plan(options.study))
    try:
        plan = read_plan(path) if path else None
        report = write_report(options.root, options.study, out=out, base=options.base, plan=plan)
    except (StudyError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    except OSError as error:
        place = error.filename or out
        sys.stderr.write(
            f"The report cannot be written: {place}: {error.strerror}. Free space or choose --out.\n"
        )
        return exit_codes.FAILED
    lines = [report.document.subtitle, *report.sentences, f"Report: {out / 'report.html'}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return exit_codes.OK


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pkgs.reports", description=__doc__)
    parser.add_argument("study", metavar="STUDY", help="the ids' part before the last '/', for instance ke")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(environment.get("QUEUE_ROOT") or "logs_and_checkpoints"),
        help="folder of the run folders (default: QUEUE_ROOT, else logs_and_checkpoints)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the report (default: QUEUE_RUN_DIR, else <root>/<study>/report)"
    )
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument(
        "--plan", type=Path, help="how the study is judged (default: configs/<study>/report.yaml where it is)"
    )
    judged.add_argument(
        "--base",
        help="compare every condition with this one, without a plan "
        "(default without a plan: the one named *baseline*, else the first)",
    )
    return parser


def _default_out(root: Path, study: str, environment: Mapping[str, str]) -> Path:
    given = environment.get("QUEUE_RUN_DIR")
    return Path(given) if given else root / study / "report"


if __name__ == "__main__":
    sys.exit(main())
