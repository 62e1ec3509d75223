"""Everything that decides about `python -m pkgs.noise rank`. Loads no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pkgs.data.config import DataConfig
from pkgs.foundation.config import Section


class RunsConfig(Section):
    """Folders of finished runs, as patterns: `{root}/noise/student/fold*/seed_*`. Empty: no such detector."""

    student: str
    """One run per fold and seed: the predictions of patches that it did not see. Gives P."""

    in_sample: str = ""
    """The student on all patches, asked about those it was trained on."""

    supervised: str = ""
    """The control without a teacher, one run per fold and seed."""

    supervised_in_sample: str = ""
    """The control on all patches."""

    error_teacher: str = ""
    """One run per fold and seed, trained on noisy labels. Gives r."""

    clean_error_teacher: str = ""
    """Trained on clean labels of other sets."""

    left_out: str = ""
    """The same, one operation never trained on; the folder above `seed_*` names the column."""

    teacher: str = ""
    """Trained on clean labels of other sets."""

    compat: str = ""
    """The reference's recipe; scores the patches that it was trained on."""


class CompatConfig(Section):
    """Defects of the reference, as ablations of the ranking. All off; the column `compat` has them."""

    empty_is_noisy: bool = False
    """`iou` becomes the reference's weighted IoU: two empty masks rank among the noisiest (N5)."""

    logit_threshold: bool = False
    """Masks from logits > .5 instead of P >= .5 (N4)."""

    in_sample: bool = False
    """P comes from `runs.in_sample` instead of `runs.student` (N6)."""


class RankConfig(Section):
    """Which labels are ranked, by whose predictions."""

    preset: str = ""
    """Which preset the settings are, for the report: `demo`, `readme`."""

    data: DataConfig
    """The noisy set; `split` names the file of folds by which the runs were trained."""

    runs: RunsConfig

    truth: str = ""
    """`truth.csv`, or a folder of clean masks by equal names; empty: nobody knows."""

    truth_empty: Literal["clean", "benchmark"] = "clean"
    """True noise of two empty masks: 0, or 1 as the public benchmark counts."""

    by: str = "combined"
    """The score that ranks."""

    noisy_above: float = Field(default=0.1, gt=0, lt=1)
    """Noise (1 - IoU) beyond which a label counts as noisy."""

    review: str = ""
    """Marks of a reviewer, as the gallery saves them; `--review` is the same."""

    chunk_px: int = Field(default=1 << 22, ge=1)
    """Pixels that are scored at once; decides about memory alone."""

    compat: CompatConfig = CompatConfig()

    @model_validator(mode="after")
    def _folds_are_known(self) -> Self:
        if self.data.split.by != "folds":
            raise ValueError(
                f"data.split.by is {self.data.split.by}; expected folds: a ranking must know which "
                "fold saw a patch"
            )
        return self

    @model_validator(mode="after")
    def _the_given_labels_are_ranked(self) -> Self:
        without_effect = [
            name for name in ("also", "labels", "test_labels", "keep") if getattr(self.data, name)
        ]
        if without_effect:
            raise ValueError(
                f"data.{', data.'.join(without_effect)}: the labels of data.root are ranked, all of them; "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def _in_sample_has_runs(self) -> Self:
        if self.compat.in_sample and not self.runs.in_sample:
            raise ValueError("compat.in_sample needs runs.in_sample")
        return self
