"""Which network a name or a run folder means, where its weights are, and how its images were prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pkgs.data.catalog import READERS, channels_of
from pkgs.foundation.run_folder import RunFolder
from pkgs.models.catalog import NETWORKS, options_of
from pkgs.training.checkpoint_folder import fault_of, newest_whole
from utility.preprocess import ColourUnit, GreyUnit, MinMax, Preprocess, Unknown

RGB = 3


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What to build, and from where its weights come."""

    name: str
    options: Mapping[str, Any]
    weights: Path | None
    prepare: Preprocess
    notes: tuple[str, ...] = ()


def find_source(model: str, enc_weights: str | Path | None) -> ModelSource:
    """Tell a run folder from a name, and find the weights.

    Raises:
        ValueError: If there is no such network, run or checkpoint.
    """
    folder = _run_folder(Path(model))
    if folder is not None:
        if enc_weights is not None:
            raise ValueError(
                f"{model} is a run folder with weights of its own; give a network's name with enc_weights."
            )
        return _from_run(folder, Path(model))
    if model not in NETWORKS and ("/" in model or Path(model).exists()):
        raise ValueError(
            f"{model}: neither a run folder (no config.yaml in it, seen from {Path.cwd()}) nor the name of a "
            "network."
        )
    options_of(model)  # an unknown name comes with the nearest
    prepare: Preprocess = (
        MinMax() if "resnet" in model else Unknown(f"{model} came without a run's settings.")
    )
    if enc_weights is None:
        return ModelSource(model, {}, None, prepare)
    path = Path(enc_weights)
    folder = _run_folder(path)
    if folder is None:
        if path.is_dir():
            raise ValueError(f"{path}: no run folder, there is no config.yaml in it.")
        return ModelSource(model, {}, path, prepare)
    run = _from_run(folder, path)
    options = run.options if run.name == model else {}
    return ModelSource(model, options, run.weights, run.prepare, run.notes)


def _run_folder(path: Path) -> RunFolder | None:
    """Return the run that a path means, a checkpoint of it included; None if there is no `config.yaml`."""
    inside = path.absolute().parent.name == "checkpoints"
    folder = RunFolder(path.parent.parent if inside else path)
    return folder if path.is_dir() and folder.config.exists() else None


def _from_run(folder: RunFolder, given: Path) -> ModelSource:
    """Read which network a run trained, where its weights are, and how its images were prepared."""
    settings = _settings(folder)
    model = settings.get("model")
    if not isinstance(model, dict) or "name" not in model:
        raise ValueError(f"{folder.config}: has no model.name; a run of another kind, or an older version's.")
    name = str(model["name"])
    own = model.get("options")
    given_options = {**model, **own} if isinstance(own, dict) else model
    options = {key: value for key, value in given_options.items() if key in options_of(name)}
    if _channels(settings.get("data")) == RGB and "in_channels" in options_of(name):
        options["in_channels"] = RGB
    if given == folder.path:
        chosen, notes = newest_whole(folder.checkpoints, "last")
    else:
        fault = fault_of(given)
        chosen, notes = (None, [fault]) if fault else (given, [])
    if chosen is None:
        reason = f" ({'; '.join(notes)})" if notes else ""
        raise ValueError(
            f"{given}: there is no whole checkpoint{reason}. Let the run train to its first validation, or "
            "give another run."
        )
    return ModelSource(name, options, _weights_in(chosen), _preparation(settings), tuple(notes))


def _channels(data: object) -> int:
    """Return how many channels the images of a run's `data` section have, 1 where nobody says more."""
    layout = data.get("layout") if isinstance(data, dict) else None
    return channels_of(layout) if layout in READERS else 1


def _settings(folder: RunFolder) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder.config}: cannot be read ({error}).") from None
    return settings if isinstance(settings, dict) else {}


def _weights_in(checkpoint: Path) -> Path:
    """Return the file of weights of a checkpoint: the only one, or the student's."""
    files = sorted(checkpoint.glob("*.safetensors"))
    student = checkpoint / "student.safetensors"
    if len(files) == 1 or student in files:
        return student if student in files else files[0]
    names = ", ".join(file.name for file in files) or "no .safetensors"
    raise ValueError(
        f"{checkpoint}: holds {names}; which is meant? Give a network's name, and the file as enc_weights."
    )


def _preparation(settings: Mapping[str, Any]) -> Preprocess:
    data = settings.get("data")
    if isinstance(data, dict) and "size_px" in data:
        layout = data.get("layout", "cem_mitolab")
        if layout == "cem_mitolab":
            return GreyUnit(int(data["size_px"]))
        if _channels(data) == RGB and data.get("colour_match", "none") == "none":
            return ColourUnit(int(data["size_px"]))
    return Unknown("the run's config.yaml has no data.size_px of a layout that is known here.")
