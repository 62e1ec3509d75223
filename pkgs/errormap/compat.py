"""One switch per documented defect of the reference; all off. The sound form is the default everywhere.

Loads no torch.
"""

from __future__ import annotations

from pkgs.data.config import DataConfig
from pkgs.data.remainder import remainder_split
from pkgs.foundation.config import Section


class CompatConfig(Section):
    """Defects of an earlier implementation, each for an ablation of its own (knowledge expansion, 9)."""

    broadcast: bool = False
    """D1: [B, 1] minus [B] gives [B, B]; the best teacher is a constant."""

    rare_corruption: bool = False
    """D2: masks are corrupted in 13 % of samples only, by the published set: most targets are exactly 0."""

    score_100: bool = False
    """D3: pretraining targets are 100 x the share of changed pixels of hard masks, one number per image."""

    logits_to_teacher: bool = False
    """D3: the teacher sees raw logits instead of probabilities."""

    undetached_target: bool = False
    """D4: the target is not detached: the student's gradient is scaled by 1 - w or 1 + w."""

    unanchored_expansion: bool = False
    """D5: expansion minimises the predicted error alone: no labelled batch, average, gate or bound."""

    gt_augment_noop: bool = False
    """D6: the corrupted target never reaches the loss."""

    committee_no_grad: bool = False
    """D7: the committee is asked without gradient; nothing is learned from it."""

    test_is_remainder: bool = False
    """D9: split by patch, whatever is left over is the test set."""

    rng_cycle: bool = False
    """D10: generators are seeded anew from one of 10,000 values; draws repeat in short cycles."""

    batch_mean_target: bool = False
    """D12: one target for the whole batch, its mean error."""

    gt_only_validation: bool = False
    """D13: the teacher is validated on true pairs only; a zero teacher is perfect."""

    drop_p1_bin: bool = False
    """D14: the last bin leaves out p = 1."""

    reference_augment: bool = False
    """D16: nearest images, zero fill, and a blur that changes nothing."""

    pool_overlap: bool = False
    """D17: unlabelled images of validation and test sources stay in the pool."""


def data_of_run(data: DataConfig, compat: CompatConfig, *, run: str) -> DataConfig:
    """Return the data of one run: under `test_is_remainder` split anew for it, else as they are.

    Args:
        data: As configured.
        compat: Switches.
        run: Names the run, such as `ke/joint/seed_3`.
    """
    if not compat.test_is_remainder:
        return data
    return data.model_copy(update={"split": remainder_split(data.split, run=run)})
