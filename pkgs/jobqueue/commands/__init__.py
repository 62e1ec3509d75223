"""The command line: one file per verb, each `parse, build, run, exit code`.

`main` is all that QueueManager.py needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

from pkgs.foundation import exit_codes

VERBS: Final = (
    "run", "status", "why", "logs", "add", "hold", "release", "cancel", "rerun", "retry",
    "check", "plan", "report", "doctor",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Carry out one command and return its exit code; without a verb it is `run`.

    Only the verb's own file is loaded: `status` must not pay for what `run` needs.
    """
    words = list(arguments)
    if words and words[0] in ("--help", "-h", "help"):
        return _call(list(VERBS), ["--help"])
    if words and words[0] in ("--show-completion", "--complete"):
        return _completion(words)
    if not words or words[0].startswith("-"):
        words.insert(0, "run")
    verb = words[0]
    if verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        sys.stderr.write(f"Unknown command {verb!r}.{hint} Known: {', '.join(VERBS)}. See --help.\n")
        return exit_codes.USAGE
    return _call([verb], words[1:])


def _completion(words: list[str]) -> int:
    from pkgs.jobqueue.commands import completion  # noqa: PLC0415

    if words[0] == "--show-completion":
        return completion.show_completion()
    asked = [verb for verb in words[1:2] if verb in VERBS and words[-1].startswith("-")]
    options = {verb: getattr(import_module(f"pkgs.jobqueue.commands.{verb}"), verb) for verb in asked}
    return completion.complete(words[1:], verbs=VERBS, options=options)


def _call(verbs: list[str], words: list[str]) -> int:
    import typer  # noqa: PLC0415 - late, so that a test may import this package without it

    # Newer releases of typer bring a click of their own, so that click.ClickException catches nothing.
    usage_error: type[Any] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    app = typer.Typer(
        name="QueueManager.py",
        help="From Jobs.csv to finished runs on free devices. Without a command: run.",
        no_args_is_help=True,
        add_completion=False,  # completion.py also completes ids, and `python QueueManager.py ...`
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for verb in verbs:
        module = import_module(f"pkgs.jobqueue.commands.{verb}")
        app.command(name=verb, epilog=module.EXAMPLES)(getattr(module, verb))
    try:
        answer = typer.main.get_command(app).main(words, prog_name=_program(verbs), standalone_mode=False)
    except usage_error as error:
        error.show()
        return exit_codes.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return exit_codes.INTERRUPTED
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    except BrokenPipeError:  # `status | head` is no error of ours
        sys.stderr.close()
        return exit_codes.OK
    except OSError as error:  # no room, no permission
        sys.stderr.write(
            f"{error.filename or 'writing'}: {error.strerror or error}. `doctor` may tell more.\n"
        )
        return exit_codes.FAILED
    return answer if isinstance(answer, int) else exit_codes.OK


def _program(verbs: list[str]) -> str:
    return f"QueueManager.py {verbs[0]}" if len(verbs) == 1 else "QueueManager.py"
