"""`{seed}` `{condition}` `{run_dir}` `{gpus}` in a command, filled in so that the shell reads one word.

All other braces are the shell's: `${HOME}`, `{a,b}`, `awk '{print}'`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from pkgs.jobqueue.vocabulary import Job, RunKey

NAMES: Final = ("seed", "condition", "run_dir", "gpus")
_TOKEN: Final = re.compile(r"\\.|'|\"|(?<!\$)\{(seed|condition|run_dir|gpus)\}", re.DOTALL)


def placeholders(command: str) -> set[str]:
    """Return the names of the placeholders that stand in `command`."""
    if "{" not in command:
        return set()
    return {found.group(1) for found in _TOKEN.finditer(command) if found.group(1)}


def fill_command(job: Job, key: RunKey, run_dir: Path | str) -> str:
    """Return the job's command for one run, each value quoted for the place where it stands.

    Args:
        job: The row. Its seeds and conditions were checked against its placeholders by rows.py.
        key: Which of its runs.
        run_dir: The run folder; may hold blanks and quotes.
    """
    values = {
        "seed": "" if key.seed is None else str(key.seed),
        "condition": key.condition or "",
        "run_dir": str(run_dir),
        "gpus": str(job.gpus),
    }
    parts: list[str] = []
    done, quote = 0, ""
    for found in _TOKEN.finditer(job.command):
        sign, name = found.group(), found.group(1)
        if name:
            parts += (job.command[done : found.start()], _quoted(values[name], quote))
            done = found.end()
        elif sign in ("'", '"'):
            quote = sign if not quote else "" if quote == sign else quote
        elif quote == "'" and sign == "\\'":  # no escapes inside single quotes
            quote = ""
    return "".join([*parts, job.command[done:]])


def _quoted(value: str, quote: str) -> str:
    """Return `value` for a place outside quotes, inside single or inside double quotes."""
    if quote == "'":
        return value.replace("'", "'\"'\"'")
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return shlex.quote(value) if value else ""
