"""Copying weights under their published names: `python -m utility.export_weights ke --out weights`.

`student_baseline_3.safetensors`, `teacher_joint_3.safetensors`: network, condition, seed. Only finished runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pkgs.foundation import exit_codes
from pkgs.foundation.files import write_whole
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.arguments import DEFAULT_ROOT
from pkgs.training.checkpoint_folder import newest_whole
from pkgs.training.run_state import is_finished

app = typer.Typer(add_completion=False, no_args_is_help=True)


def published_name(module: str, *, condition: str, seed: str) -> str:
    """Return `<module>_<condition>_<seed>`; a condition that begins with the module's name says it once."""
    named = condition if condition.startswith(f"{module}_") else f"{module}_{condition}"
    return f"{named}_{seed}"


def export(study: Path, out: Path, *, weights: Literal["last", "best"]) -> tuple[list[Path], list[str]]:
    """Copy the weights of every finished run of a study; return the files, and a sentence per run left out.

    Args:
        study: Folder of the study's runs, `<root>/<study>`.
        out: Where to; files of these names there are replaced.
        weights: Which checkpoint.
    """
    out.mkdir(parents=True, exist_ok=True)
    files, left_out = [], []
    for run in sorted(study.glob("*/seed_*")):
        found, notes = newest_whole(run / "checkpoints", weights)
        if found is None or not is_finished(RunFolder(run)):
            left_out.append(f"{run}: left out, {'; '.join(notes) or 'it has not finished'}.")
            continue
        seed = run.name.removeprefix("seed_")
        for file in sorted(found.glob("*.safetensors")):
            name = published_name(file.stem, condition=run.parent.name, seed=seed)
            write_whole(out / f"{name}.safetensors", file.read_bytes())
            files.append(out / f"{name}.safetensors")
    return files, left_out


@app.command()
def export_weights(
    study: Annotated[str, typer.Argument(help="Name of the study, for instance ke.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the copies.")],
    root: Annotated[Path, typer.Option(help="Where the runs lie.")] = Path(DEFAULT_ROOT),
    weights: Annotated[Literal["last", "best"], typer.Option(help="Which checkpoint.")] = "last",
) -> None:
    """Copy the weights of a study's finished runs under their published names."""
    files, left_out = export(root / study, out, weights=weights)
    for sentence in left_out:
        print(sentence, file=sys.stderr)
    if not files:
        print(
            f"{root / study}: no finished run with seeds. Run the study first, or give --root.",
            file=sys.stderr,
        )
        raise typer.Exit(exit_codes.USAGE)
    print(f"{out}: {len(files)} files of weights ({weights}).")


if __name__ == "__main__":
    app()
