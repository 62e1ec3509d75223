"""What teachers teach on images without labels, as functions of tensors.

    decoded   m = 1[p_ema > .5],  pi = m (1 - rho) + (1 - m) rho,   P = mean g BCE(p, sg(pi))
    through   P = mean g l_max r(x, p), the gradient through the teacher's mask channel

rho is the chance that a pixel of m is wrong, r the predicted error share, g opens where the teachers are sure
and of one mind. Beside it the consistency mean (p - p_ema)^2. Source: knowledge expansion, section 5.
"""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.ensemble.combine import combine, disagreement
from pkgs.ensemble.committee import Committee
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.decoding import error_chance, gate, implied_label
from pkgs.errormap.loss import shown_mask
from pkgs.losses.error_map import LARGEST
from pkgs.models.error_teacher import ErrorPrediction
from pkgs.student.expansion_config import ExpansionConfig
from pkgs.training.replicas import in_float32


class Signal(NamedTuple):
    """The teachers' term per pixel, gate included, and where it is open."""

    loss_B1HW: Tensor
    open_B1HW: Tensor


class Opinion(NamedTuple):
    """What a committee says of a mask."""

    share_B1HW: Tensor
    """r, combined; a `sum` may exceed 1."""
    chance_B1HW: Tensor
    """rho."""
    spread_B1HW: Tensor
    """Standard deviation of rho over the teachers; 0 for a single one."""


class PoolSums(NamedTuple):
    """Sums of a batch, [1] each so that replicas can be joined; divided by `pixels` they are means."""

    signal: Tensor
    opened: Tensor
    consistency: Tensor
    pixels: Tensor


def ramp(step: int, *, steps: int, share: float) -> float:
    """Return the factor min(1, step / (share steps)) of step `step`, counted from 0."""
    return min(1.0, step / (share * steps)) if share * steps > 0 else 1.0


def shares_of(answer: ErrorPrediction, *, compat: CompatConfig) -> Tensor:
    """Return r of each teacher, [K, B, 1, H, W]; of teachers of one number in nats, that everywhere."""
    if not compat.score_100:
        return answer.share_B1HW
    share = (answer.image_logits_B / LARGEST).clamp(0, 1)
    return share[..., None, None, None].expand_as(answer.logits_B1HW)


def opinion(answer: ErrorPrediction, config: ExpansionConfig, *, compat: CompatConfig) -> Opinion:
    """Return what K teachers say together; `answer` has their axis first."""
    shares_KB1HW = shares_of(answer, compat=compat)
    share = combine(shares_KB1HW, config.combine)
    spread = disagreement(error_chance(shares_KB1HW.detach()))
    return Opinion(share, error_chance(share), spread)


def opened(said: Opinion, config: ExpansionConfig) -> Tensor:
    """Return g as booleans [B, 1, H, W]; for one teacher the spread is 0, which closes nothing."""
    return gate(
        said.chance_B1HW.detach(), spread=said.spread_B1HW, sure=config.sure, most_spread=config.most_spread
    )


def decoded_signal(
    logits_B1HW: Tensor, mask_B1HW: Tensor, *, said: Opinion, config: ExpansionConfig
) -> Signal:
    """Return g BCE(p, sg(pi)), the predicted loss as an exact function of p.

    Args:
        logits_B1HW: z of the student, p = sigmoid(z). Receives the gradient.
        mask_B1HW: m, the hard mask of which the teachers spoke.
        said: What they said.
        config: The gate.

    Raises:
        ValueError: If the shapes differ.
    """
    target = implied_label(mask_B1HW, said.chance_B1HW).detach()
    open_B1HW = opened(said, config)
    each = F.binary_cross_entropy_with_logits(logits_B1HW, target, reduction="none")
    return Signal(torch.where(open_B1HW, each, 0), open_B1HW)


def through_signal(*, said: Opinion, config: ExpansionConfig) -> Signal:
    """Return g l_max r: in nats like the loss that it predicts. The gradient is that of `said`."""
    open_B1HW = opened(said, config)
    return Signal(torch.where(open_B1HW, LARGEST * said.share_B1HW, 0), open_B1HW)


@final
class PoolStep(nn.Module):
    """The unlabelled half of a step: student, its moving average and teachers on one device.

    Args:
        student: From images to logits; the gradient goes to it alone.
        average: The same of its moving average, frozen.
        committee: The teachers, frozen; None: no term of theirs (`teacher_weight` 0).
        config: Of the expansion.
        compat: `logits_to_teacher`, `committee_no_grad`.
    """

    def __init__(
        self,
        student: nn.Module,
        average: nn.Module,
        committee: Committee | None,
        *,
        config: ExpansionConfig,
        compat: CompatConfig,
    ) -> None:
        super().__init__()
        self.student, self.average, self.committee = student, average, committee
        self.config, self.compat = config, compat

    def forward(self, image_BCHW: Tensor) -> PoolSums:
        logits_B1HW: Tensor = in_float32(self.student(image_BCHW))
        with torch.no_grad():
            anchor_B1HW: Tensor = in_float32(self.average(image_BCHW))
        consistency = (torch.sigmoid(logits_B1HW) - torch.sigmoid(anchor_B1HW)).square().sum()
        pixels = consistency.new_tensor(float(logits_B1HW.numel()))
        none = consistency.new_zeros(1)
        if self.committee is None:
            return PoolSums(none, none, consistency.reshape(1), pixels.reshape(1))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.compat.committee_no_grad):
            signal = self._signal(image_BCHW, logits_B1HW, anchor_B1HW)
            total = signal.loss_B1HW.sum().reshape(1)
        return PoolSums(
            total, signal.open_B1HW.sum().float().reshape(1), consistency.reshape(1), pixels.reshape(1)
        )

    def _said(self, image_BCHW: Tensor, mask_B1HW: Tensor) -> Opinion:
        assert self.committee is not None
        answer = ErrorPrediction(*in_float32(self.committee(image_BCHW, mask_B1HW)))
        return opinion(answer, self.config, compat=self.compat)

    def _signal(self, image_BCHW: Tensor, logits_B1HW: Tensor, anchor_B1HW: Tensor) -> Signal:
        if self.config.signal == "through":
            said = self._said(image_BCHW, shown_mask(logits_B1HW, compat=self.compat))
            return through_signal(said=said, config=self.config)
        mask_B1HW = (anchor_B1HW > 0).float()
        asked = anchor_B1HW if self.compat.logits_to_teacher else mask_B1HW
        with torch.no_grad():
            said = self._said(image_BCHW, asked)
        return decoded_signal(logits_B1HW, mask_B1HW, said=said, config=self.config)


@final
class UnanchoredStep(nn.Module):
    """D5, mean T(x_u, z) alone: no labelled batch, average, gate or bound, and T is a raw number.

    A committee's numbers are summed, its teachers in training mode, on half of the batch.
    Returns the sum over the images and their number, [1] each.
    """

    def __init__(self, student: nn.Module, committee: Committee, *, compat: CompatConfig) -> None:
        super().__init__()
        self.student, self.committee, self.compat = student, committee, compat
        committee.train(committee.size > 1)

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        if self.committee.size > 1:
            image_BCHW = image_BCHW[: max(1, len(image_BCHW) // 2)]
        logits_B1HW: Tensor = in_float32(self.student(image_BCHW))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.compat.committee_no_grad):
            answer = in_float32(self.committee(image_BCHW, shown_mask(logits_B1HW, compat=self.compat)))
            total: Tensor = answer.image_logits_B.sum()
        return total.reshape(1), total.new_tensor([float(len(image_BCHW))])


def without_gradient(total: Tensor) -> Tensor:
    """Return the value with a gradient that reaches no weight: an optimiser then leaves all as it is."""
    return total.detach() + torch.zeros_like(total).requires_grad_()
