"""Bringing weights into a network: their keys tell what kind they are; what was loaded is reported.

Kinds that share an encoder: a classifier (`encoder.`, `head.`), a SimCLR checkpoint (`encoder.`,
`projector.`), a U-Net (`unet.backbone.`), a bare encoder (`conv1.weight`). Of another kind than one's own the
encoder is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from torch import Tensor, nn

Kind = Literal["classifier", "simclr", "unet", "encoder", "other"]

ENCODER_AT: Final[Mapping[Kind, str]] = {
    "classifier": "encoder.",
    "simclr": "encoder.",
    "unet": "unet.backbone.",
    "encoder": "",
}
WRAPPERS: Final = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""

DROPPED: Final = ("fc.", "unet.backbone.fc.", "loss_criterion.", "ntxent.")
"""Unused classifiers, and weights of losses that older programs saved along."""

STEM: Final = "conv1.weight"
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of each key of a file, and of each of the network."""

    source: str
    kind: Kind
    prefix: str
    """Before the loaded keys in the file; not empty where only an encoder was taken."""
    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    """In the file and not wanted."""
    fresh: tuple[str, ...]
    """In the network and not looked for in the file: at their initial values."""
    missing: tuple[str, ...] = ()
    """In the network, and should have been in the file."""
    unexpected: tuple[str, ...] = ()
    """In the file, and in no place of the network."""

    def sentence(self) -> str:
        """Say it in one line."""
        under = f" under {self.prefix!r}" if self.prefix else ""
        start = f", {len(self.fresh)} left at their start" if self.fresh else ""
        return f"{self.source}: {self.kind}; {len(self.loaded)} tensors{under} loaded{start}."


def kind_of(keys: Iterable[str]) -> Kind:
    """Return what the keys of a file belong to."""
    names = set(keys)
    starts = {name.partition(".")[0] for name in names}
    if "unet" in starts:
        return "unet"
    if {"encoder", "head"} <= starts:
        return "classifier"
    if {"encoder", "projector"} <= starts:
        return "simclr"
    return "encoder" if STEM in names else "other"


def unwrapped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights without `module.` and `_orig_mod.` before their keys."""
    plain = {}
    for key, value in weights.items():
        while key.startswith(WRAPPERS):
            key = key.partition(".")[2]  # noqa: PLW2901
        plain[key] = value
    return plain


def load_into(
    network: nn.Module, weights: Mapping[str, Tensor], *, source: str, strict: bool = True
) -> LoadReport:
    """Load the weights, whole or the encoder alone, and return what was done.

    A first kernel for another number of channels is averaged over its inputs, repeated, and scaled.

    Args:
        network: Changed in place, only if nothing is wrong.
        weights: By key; wrappers before the keys do not matter.
        source: Where they are from, for messages.
        strict: Whether a missing or surplus key is an error. Otherwise what fits is loaded, the rest listed.

    Raises:
        ValueError: If keys are missing or surplus, shapes differ, or nothing can be taken.
    """
    plain = unwrapped(weights)
    dropped = {key for key in plain if key.startswith(DROPPED)}
    offered = {key: value for key, value in plain.items() if key not in dropped}
    own, kind = network.state_dict(), kind_of(offered)
    own_kind = kind_of(own)
    taken, wanted, prefix = offered, set(own), ""
    if kind != own_kind and kind in ENCODER_AT and own_kind in ENCODER_AT:
        prefix, home = ENCODER_AT[kind], ENCODER_AT[own_kind]
        dropped |= {key for key in offered if not key.startswith(prefix)}
        taken = {home + key.removeprefix(prefix): offered[key] for key in offered if key.startswith(prefix)}
        wanted = {key for key in own if key.startswith(home)}
    taken = {key: _for_channels(key, value, own.get(key)) for key, value in taken.items()}
    fitting = {key: value for key, value in taken.items() if key in wanted and value.shape == own[key].shape}
    report = LoadReport(
        source,
        kind,
        prefix,
        loaded=tuple(sorted(fitting)),
        dropped=tuple(sorted(dropped)),
        fresh=tuple(sorted(own.keys() - wanted)),
        missing=tuple(sorted(wanted - fitting.keys())),
        unexpected=tuple(sorted(taken.keys() - fitting.keys())),
    )
    _refuse(report, own, taken, strict=strict)
    network.load_state_dict({**own, **fitting})
    return report


def adapt_channels(kernel_OIHW: Tensor, *, channels: int) -> Tensor:
    """Return the first kernel for another number of channels: averaged over its inputs, repeated, scaled.

    Scaled by inputs / channels, so that equal channels give what they gave before.
    """
    inputs = kernel_OIHW.shape[1]
    mean = kernel_OIHW.mean(dim=1, keepdim=True)
    return mean.expand(-1, channels, -1, -1) * (inputs / channels)


def _for_channels(key: str, value: Tensor, own: Tensor | None) -> Tensor:
    first = key in {prefix + STEM for prefix in ENCODER_AT.values()}
    if not first or own is None or value.ndim != 4 or value.shape[2:] != own.shape[2:]:
        return value
    if value.shape[1] == own.shape[1] or value.shape[0] != own.shape[0]:
        return value
    return adapt_channels(value, channels=own.shape[1])


def _refuse(
    report: LoadReport, own: Mapping[str, Tensor], taken: Mapping[str, Tensor], *, strict: bool
) -> None:
    """Raise if the report says that something is wrong."""
    if not report.loaded:
        raise ValueError(
            f"{report.source}: nothing of it fits the network. It holds {_listed(taken)}; the network has "
            f"{_listed(own)}."
        )
    if not strict or not (report.missing or report.unexpected):
        return
    unequal = [
        f"{key} ({tuple(taken[key].shape)} in the file, {tuple(own[key].shape)} in the network)"
        for key in report.unexpected
        if key in own
    ]
    unequal_keys = {key for key in report.unexpected if key in own}
    missing = [key for key in report.missing if key not in unequal_keys]
    surplus = [key for key in report.unexpected if key not in unequal_keys]
    parts = [
        f"{len(keys)} {word}: {_listed(keys)}"
        for word, keys in (("missing", missing), ("surplus", surplus), ("of another shape", unequal))
        if keys
    ]
    raise ValueError(f"{report.source}: weights of another network; {'; '.join(parts)}.")


def _listed(keys: Iterable[str]) -> str:
    names = sorted(keys)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def classes_in(weights: Mapping[str, Tensor], *, output: str) -> int | None:
    """Return how many classes the last layer of a file has; None if that layer is not in it."""
    weight = unwrapped(weights).get(f"{output}.weight")
    return None if weight is None else weight.shape[0]
