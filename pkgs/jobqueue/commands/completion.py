"""Shell completion: verbs, options, and the ids of the table, for bash and zsh.

`python QueueManager.py --show-completion` prints the script, which asks `--complete WORDS...` at each tab.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pkgs.foundation import exit_codes

TAKE_IDS: Final = ("status", "why", "logs", "hold", "release", "cancel", "rerun", "retry")
MOST_IDS: Final = 1000
"""Nobody reads more, and a shell takes seconds to show them."""
SCRIPT: Final = """\
# For ~/.bashrc or ~/.zshrc:  eval "$(python QueueManager.py --show-completion)"
# Completes `python QueueManager.py ...` and `./QueueManager.py ...`; other programs keep their file names.
[ -n "$ZSH_VERSION" ] && autoload -U +X bashcompinit && bashcompinit
_queuemanager() {
    local first=1 program="${COMP_WORDS[0]}"
    COMPREPLY=()
    case "${COMP_WORDS[0]##*/}" in
        python*) case "${COMP_WORDS[1]##*/}" in
            QueueManager.py) first=2; program="${COMP_WORDS[0]} ${COMP_WORDS[1]}" ;;
            *) return 0 ;;
        esac ;;
    esac
    [ "$COMP_CWORD" -ge "$first" ] || return 0
    local IFS=$'\\n' words=("${COMP_WORDS[@]:$first:$((COMP_CWORD - first + 1))}")
    COMPREPLY=( $(IFS=' '; $program --complete "${words[@]}" 2>/dev/null) )
}
complete -o default -F _queuemanager QueueManager.py python python3
"""


def show_completion() -> int:
    """Print what the shell must evaluate."""
    print(SCRIPT, end="")
    return exit_codes.OK


def complete(words: Sequence[str], *, verbs: Sequence[str], options: dict[str, Any]) -> int:
    """Print what may stand where the last of `words` is, one per line.

    Args:
        words: What follows the program's name up to the cursor; the last one may be empty or half typed.
        verbs: All commands.
        options: By verb, its function; the annotations name the options.
    """
    begun = words[-1] if words else ""
    for candidate in sorted(set(_candidates(list(words), verbs=verbs, options=options))):
        if candidate.startswith(begun):
            print(candidate)
    return exit_codes.OK


def _candidates(words: list[str], *, verbs: Sequence[str], options: dict[str, Any]) -> Iterator[str]:
    if len(words) < 2:
        yield from verbs
        return
    verb = words[0]
    if words[-1].startswith("-") and verb in options:
        yield from _options(options[verb])
    elif verb in TAKE_IDS and not words[-2].startswith("--"):
        yield from _ids(words)


def _options(function: Any) -> Iterator[str]:  # noqa: ANN401 - typer knows what it is
    import typer  # noqa: PLC0415 - late: it takes most of the time

    app = typer.Typer(add_completion=False)
    app.command()(function)
    for parameter in typer.main.get_command(app).params:
        yield from (name for name in parameter.opts if name.startswith("--"))
    yield "--help"


def _ids(words: Sequence[str]) -> Iterator[str]:
    from pkgs.jobqueue.table.table_file import TableFile, TableFileError  # noqa: PLC0415

    jobs = Path("Jobs.csv")
    if "--jobs" in words[:-1]:
        jobs = Path(words[words.index("--jobs") + 1])
    try:
        table = TableFile(jobs).load()
    except TableFileError as error:
        sys.stderr.write(f"{error}\n")
        return
    yield from (name for row in table.rows[:MOST_IDS] if (name := table.cells_of(row).id))
