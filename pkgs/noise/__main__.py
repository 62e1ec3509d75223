"""`python -m pkgs.noise train|rank|infer`: hands the rest of the command line to what is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from pkgs.foundation import exit_codes

COMMANDS: Final[Mapping[str, str]] = {
    "train": "pkgs.noise.train",
    "rank": "pkgs.noise.ranking.command",
    "infer": "pkgs.noise.infer",
}
"""The module of each command; its `main` takes the words behind the command's name."""
USAGE: Final = f"usage: python -m pkgs.noise {{{','.join(COMMANDS)}}} ...\n"


def main(argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit code."""
    if argv[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return exit_codes.OK
    if not argv or argv[0] not in COMMANDS:
        sys.stderr.write(USAGE)
        return exit_codes.USAGE
    code: int = importlib.import_module(COMMANDS[argv[0]]).main(list(argv[1:]))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
