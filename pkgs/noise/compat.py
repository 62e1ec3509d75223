"""One switch per defect of the reference, and what each does to the settings. All off; loads no torch.

A switch whose effect is a setting is resolved here, so that a run's config.yaml says what was built: bridge,
attention, colours, sets. The others are asked for where losses, validations and stops are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pkgs.foundation.config import Section
from pkgs.models.config import ModelConfig, Triple

if TYPE_CHECKING:
    from pkgs.noise.config import NoiseConfig

ALABAMA: Final = "alabama"
NETWORK: Final = "nrn_rsseg"
LOGIT_HALF: Final = 0.6224593312018546
"""sigmoid(.5): above it the reference's logits are foreground."""


class CompatConfig(Section):
    """Defects of an earlier implementation, each for an ablation of its own (label noise, section 10)."""

    misaligned_bridge: bool = False
    """N1: no pooling before the bridge; the first upsampled map is cut to its centre."""

    double_sigmoid: bool = False
    """N2: the loss takes probabilities for logits, so a perfect mask still costs."""

    forward_rce: bool = False
    """N3: the reverse term of `sce` is one more cross-entropy; NaN for a sure and right pixel, unless
    `double_sigmoid` hides it."""

    logit_threshold: bool = False
    """N4: foreground is a logit above .5, a probability above .622."""

    in_sample: bool = False
    """N6: maps of every patch, those included that the run was trained on."""

    bgr: bool = False
    """N8: images in the order B, G, R under constants in the order R, G, B. Weights are drawn alike for all
    channels, so the constants are exchanged instead of the channels: every image stays R, G, B."""

    stop_total: bool = False
    """N9: early stopping counts bad validations over the whole run instead of those in a row."""

    skip_first: bool = False
    """N9: the first validation is a bad one and never `best`."""

    batch_metrics: bool = False
    """N10: IoU, Dice and accuracy of a validation are means over batches, and nothing in nothing scores 0."""

    alabama_off: bool = False
    """N12: the further sets of layout `alabama` are left out."""

    pooled_attention: bool = False
    """N14: spatial attention pools each channel instead of looking across channels."""


def resolved(config: NoiseConfig) -> NoiseConfig:
    """Return the settings with what the switches make of them."""
    compat, data = config.compat, config.data
    if compat.alabama_off:
        data = data.model_copy(update={"also": tuple(s for s in data.also if s.layout != ALABAMA)})
    return config.model_copy(update={"data": data, "model": _network(config.model, compat)})


def _network(model: ModelConfig, compat: CompatConfig) -> ModelConfig:
    options = dict(model.options)
    if model.name == NETWORK:
        options |= {"aligned": False} if compat.misaligned_bridge else {}
        options |= {"pooled_attention": True} if compat.pooled_attention else {}
    known = model.normalisation
    if not compat.bgr or known is None:
        return model.model_copy(update={"options": options})
    assert model.colours != "train", "NoiseConfig refuses it: counted constants are not known yet"
    exchanged = (_reversed(known.mean), _reversed(known.std))
    return model.model_copy(update={"options": options, "colours": exchanged})


def _reversed(constants: tuple[float, ...]) -> Triple:
    red, green, blue = constants
    return blue, green, red


def without_effect(config: NoiseConfig) -> list[str]:
    """Return one sentence for each switch that is on and changes nothing here.

    Args:
        config: As given, before `resolved`.
    """
    compat, training = config.compat, config.training
    whys = {
        "misaligned_bridge": ("" if config.model.name == NETWORK else f"model.name is {config.model.name}"),
        "pooled_attention": ("" if config.model.name == NETWORK else f"model.name is {config.model.name}"),
        "forward_rce": "" if config.loss.name == "sce" else f"loss.name is {config.loss.name}",
        "bgr": "" if config.model.colours else "model.colours is empty: images are not normalised",
        "stop_total": "" if training.patience else "training.patience is 0: no run stops early",
        "alabama_off": (
            "" if any(s.layout == ALABAMA for s in config.data.also) else "data.also names no such set"
        ),
        "in_sample": "data.split.by is all: every patch trains" if config.data.split.by == "all" else "",
    }
    return [
        f"compat.{name} changes nothing: {why}."
        for name, why in whys.items()
        if why and getattr(compat, name)
    ]
