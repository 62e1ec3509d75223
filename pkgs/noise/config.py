"""Everything that decides about a run of `python -m pkgs.noise train`. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pkgs.data.config import AugmentConfig, DataConfig
from pkgs.ensemble.apply_config import ApplyConfig
from pkgs.foundation.config import Section
from pkgs.models.config import ModelConfig
from pkgs.noise.compat import CompatConfig
from pkgs.training.config import BestConfig, TrainingConfig
from pkgs.training.durations import Duration
from pkgs.training.starting_point import StartingPoint
from pkgs.training.trackers.config import TrackerConfig

LossName = Literal["sce", "bce", "dice", "lovasz", "gce", "imae", "bootstrap"]


class LossConfig(Section):
    """What a prediction costs against its label; `pkgs.losses` has formulas and sources."""

    name: LossName = "sce"

    alpha: float = Field(default=0.01, ge=0)
    """Of `sce`: weight of the cross-entropy. As small as this the loss is almost an MAE, which underfits."""

    beta: float = Field(default=1.0, ge=0)
    """Of `sce`: weight of the reverse term, 4 |p - y|."""

    q: float = Field(default=0.7, gt=0, le=1)
    """Of `gce`: towards 0 cross-entropy, 1 the mean absolute error."""

    sharpness: float = Field(default=8.0, ge=0)
    """T of `imae`: how much pixels in doubt weigh."""

    trust: float = Field(default=0.95, ge=0, le=1)
    """Of `bootstrap`: share of the label in the target; the prediction itself has the rest."""


class DistillationConfig(Section):
    """What a student takes over from a frozen network that learned from clean labels."""

    weight: float = Field(default=0.2, ge=0, le=1)
    """w of w D + (1 - w) L; 0: no teacher."""

    start: str = ""
    """Run folder of the teacher: `{root}/noise/teacher/seed_{seed}`."""

    weights: Literal["last", "best"] = "best"
    """Which of its checkpoints."""

    normalise: Literal["none", "channel"] = "none"
    """`channel`: features of length 1 over the channels at each place, so that their scale says nothing.
    `none`: as they are; then their scale decides what the weight means."""

    temperature: float = Field(default=0.0, ge=0)
    """T of a further term on the logits, T² times the divergence per pixel; 0: features only. 3 is usual."""


class AerialConfig(AugmentConfig):
    """Random changes of the training images; `augment: none` leaves them out."""

    kind: Literal["sections", "aerial"] = "aerial"
    spatial: float = Field(default=0.5, ge=0, le=1)


class NetworkConfig(ModelConfig):
    """Which network learns; teacher and student are one kind."""

    name: Literal["unet2d", "swin_unetr", "nrn_rsseg"] = "nrn_rsseg"


class LengthConfig(TrainingConfig):
    """How long, how much at once, how fast."""

    best: BestConfig = BestConfig(metric="loss")
    """By default the label loss on val; labels there are as noisy as in training."""


class OutputConfig(Section):
    """What is kept besides tables and weights."""

    samples: int = Field(default=6, ge=0)
    """Test images whose prediction is stored for overlays; the same ones in all conditions and seeds."""

    tta: Literal["none", "d4"] = "none"
    """`d4`: the maps are means over the 8 flips and quarter turns of a patch."""

    examples_every: str = "5 epochs"
    """When image, label and prediction of a few validation patches are saved to look at; empty: never."""

    examples: int = Field(default=4, ge=1)
    """How many patches that are."""


class NoiseConfig(Section):
    """A network on labels of which some are wrong: distilled, alone, or itself the teacher on clean ones."""

    preset: str = ""
    """Name of the preset that the file extends, for the report."""

    data: DataConfig
    model: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig = DistillationConfig()
    augment: AerialConfig = AerialConfig()
    training: LengthConfig = LengthConfig()
    output: OutputConfig = OutputConfig()
    apply: ApplyConfig = ApplyConfig()
    clean_labels: str = ""
    """Folder of clean masks by equal names, for the memorisation curve in val.csv; nothing learns from them.
    Empty: `data.test_labels`."""

    trackers: TrackerConfig = TrackerConfig()
    compat: CompatConfig = CompatConfig()

    @property
    def starting_points(self) -> dict[str, StartingPoint]:
        """The checkpoints that the run begins with, by their name in provenance.json."""
        told = self.distillation
        return {"teacher": StartingPoint(Path(told.start), "student", told.weights)} if told.weight else {}

    @field_validator("augment", mode="before")
    @classmethod
    def _none_is_a_word(cls, value: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
        return {"spatial": 0, "raw": 0} if value == "none" else value

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        Duration.parse(self.output.examples_every or "1 epochs")
        if self.distillation.weight and not self.distillation.start:
            raise ValueError(
                f"distillation.weight is {self.distillation.weight:g} and there is no teacher: name its run "
                "folder in distillation.start, or write distillation.weight: 0"
            )
        if self.compat.bgr and self.model.colours == "train":
            raise ValueError(
                "compat.bgr exchanges the constants of red and blue, and with model.colours: train they are "
                "counted later; name a set, or give the numbers"
            )
        if self.clean_labels and self.data.fit == "tile":
            raise ValueError("clean_labels has no windows; leave it out, or choose data.fit: resize")
        other = self.apply.data
        if other and other.size_px != self.data.size_px:
            raise ValueError(
                f"apply.data.size_px is {other.size_px}, data.size_px {self.data.size_px}; choose the same: "
                "objects must be as large as those that the network knows"
            )
        return self
