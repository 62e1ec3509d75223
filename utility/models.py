"""Networks for use elsewhere: `from utility.models import get_model`; `python -m utility.models export RUN`.

Nothing is ever downloaded, and no code of a file of weights is ever run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, final

import torch
import typer
from torch import Tensor, nn

from pkgs.foundation import exit_codes
from pkgs.models.catalog import NETWORKS, build, count_parameters, options_of
from pkgs.models.freezing import Freezable
from pkgs.models.loading import LoadReport, classes_in, kind_of, load_into, unwrapped
from pkgs.models.normalised import Normalised, without_normalisation
from pkgs.models.output import Output
from pkgs.models.weight_file import read_weights
from utility.model_source import ModelSource, find_source
from utility.preprocess import Image, MinMax, Preprocess

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Networks and their weights.")


@final
class Model(nn.Module):
    """A network ready for use: `forward` returns logits only. In evaluation mode when it is handed out."""

    def __init__(
        self, network: nn.Module, *, name: str, prepare: Preprocess, load_report: LoadReport | None
    ) -> None:
        super().__init__()
        self.network, self.name, self.load_report = network, name, load_report
        """`load_report` is None for random weights."""
        self._prepare = prepare

    def forward(self, image: Tensor) -> Tensor:
        output: Output = self.network(image)
        return output.logits

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Channels and sides of a prepared image; None if not known."""
        return self._prepare.shape

    def preprocess(self, image: Image) -> Tensor:
        """Return the tensor [1, C, H, W] that the weights were trained on, on the network's device.

        Args:
            image: A path, or an array [H, W] or [H, W, C] in the coding of the file.

        Raises:
            ValueError: If the image does not fit, or nobody wrote down how images were prepared.
        """
        return self._prepare(image).to(next(self.network.parameters()).device)


def get_model(  # noqa: PLR0913 - the documented call
    model_name_or_run_folder: str | Path,
    enc_weights: str | Path | None = None,
    classes: int | None = None,
    frozen_encoder: bool = False,  # noqa: FBT001, FBT002 - positional in code that exists
    *,
    in_channels: int | None = None,
    device: str | torch.device = "cpu",
    strict: bool = True,
) -> Model:
    """Return a network by name, or with the weights of a run.

    Args:
        model_name_or_run_folder: A name of `pkgs.models.catalog.NETWORKS`; or a run folder (its checkpoint
            `last` is taken), or `<run>/checkpoints/best`.
        enc_weights: With a name: nothing (random weights, drawn from torch's global generator), a run folder,
            a `.safetensors`, or an old `.tar`/`.pth` state dict. Its keys tell what it is; of a SimCLR
            checkpoint, or of another kind of network, the encoder is taken.
        classes: Outputs, background included. Taken from the weights if left out.
        frozen_encoder: Stop the encoder's gradients and batch statistics, for good.
        in_channels: Channels of the image; taken from the run or the network's default if left out.
        device: Where the network is put.
        strict: Whether missing and surplus keys are errors.

    Returns:
        A module; `load_report` says what was loaded, `preprocess` prepares an image.

    Raises:
        ValueError: If there is no such network, run or checkpoint, or the weights do not fit.
    """
    source = find_source(str(model_name_or_run_folder), enc_weights)
    entry = NETWORKS[source.name]
    weights, colours = None, None
    if source.weights is not None:
        weights, colours = without_normalisation(unwrapped(read_weights(source.weights)))
    options = dict(source.options)
    if in_channels is not None:
        options["in_channels"] = in_channels
    elif colours is not None:
        options["in_channels"] = len(colours.mean)
    wanted = _classes(source, weights, classes, strict=strict)
    if wanted is not None:
        options["classes"] = wanted
    drawn = int(torch.randint(2**62, (1,)))
    network = build(source.name, seed=drawn, purpose_name="get_model", **options)
    report = None
    if weights is not None:
        report = load_into(network, weights, source=str(source.weights), strict=strict)
    if frozen_encoder:
        _freeze(network, source.name, entry.encoder)
    if colours is not None:
        network = Normalised(network, colours.mean, colours.std)
    for note in source.notes:
        print(note, file=sys.stderr)
    prepare = source.prepare
    if isinstance(prepare, MinMax) and in_channels is not None:
        prepare = replace(prepare, channels=in_channels)
    return Model(network.to(device), name=source.name, prepare=prepare, load_report=report).eval()


def _classes(
    source: ModelSource, weights: Mapping[str, Tensor] | None, asked: int | None, *, strict: bool
) -> int | None:
    """Return how many classes to build for, None for the network's own default."""
    entry = NETWORKS[source.name]
    held = None if weights is None else classes_in(weights, output=entry.output)
    if held is not None and asked is not None and held != asked and strict:
        raise ValueError(
            f"{source.weights}: its head has {held} classes, classes={asked} was asked for. Leave classes "
            "out, or give strict=False to start with a new head."
        )
    if asked is None and held is not None and "classes" in options_of(source.name):
        return held
    if asked is None and weights is not None and options_of(source.name).get("classes"):
        raise ValueError(
            f"{source.weights}: {kind_of(weights)} weights without the head of a {source.name}; say how many "
            "classes=... it shall have."
        )
    return asked


def _freeze(network: nn.Module, name: str, place: str) -> None:
    encoder = network.get_submodule(place) if place else None
    if not isinstance(encoder, Freezable):
        able = ", ".join(known for known, entry in NETWORKS.items() if entry.encoder)
        raise ValueError(  # noqa: TRY004 - the name is wrong, not the type
            f"{name} has no encoder that can be frozen alone. Those that have: {able}."
        )
    encoder.freeze()


@app.command(name="list")
def list_networks() -> None:
    """Print the names of all networks and their options."""
    for name in NETWORKS:
        options = ", ".join(f"{key}{' (needed)' * needed}" for key, needed in options_of(name).items())
        print(f"{name}: {options}")


@app.command(name="export")
def export_network(  # noqa: PLR0913 - one per option
    run: Annotated[str, typer.Argument(help="Run folder, or the name of a network (random weights).")],
    *,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    form: Annotated[Literal["onnx", "torch.export"], typer.Option("--format")] = "onnx",
    weights: Annotated[Path | None, typer.Option(help="With a name: file or run of the weights.")] = None,
    classes: Annotated[int | None, typer.Option(help="Where the weights do not say it.")] = None,
    shape: Annotated[str, typer.Option(help="Channels and sides, 3,256,256; else the run's.")] = "",
) -> None:
    """Write a network for other programs, with any batch size, and compare it with the original."""
    from pkgs.models.export import export  # noqa: PLC0415 - only who exports

    try:
        model = get_model(run, weights, classes)
        sizes = _shape(shape, model)
        out.parent.mkdir(parents=True, exist_ok=True)
        difference = export(model.network, sizes, form=form, path=out)
    except ValueError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(exit_codes.USAGE) from None
    print(
        f"{out}: {form}, {count_parameters(model.network):,} parameters, batch of any size x "
        f"{' x '.join(map(str, sizes))}; largest difference of a logit {difference:.2g}."
    )


def _shape(text: str, model: Model) -> tuple[int, ...]:
    """Return channels and sides of an image."""
    if text:
        parts = text.split(",")
        if not all(part.strip().isdecimal() for part in parts):
            raise ValueError(f"--shape {text!r}: expected channels and sides, for instance 3,256,256.")
        return tuple(int(part) for part in parts)
    if model.image_shape is None:
        raise ValueError(f"{model.name}: the size of its images is not known; give --shape, such as 1,64,64.")
    return model.image_shape


if __name__ == "__main__":
    app()
