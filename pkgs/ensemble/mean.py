"""The mean probability of several networks, as a network of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.models.output import Output


@final
class MeanProbability(nn.Module):
    r"""Several networks of one output channel; the answer's sigmoid is the mean of theirs.

        z = log(sum_k sigmoid(z_k)) - log(sum_k sigmoid(-z_k))

    So it is evaluated as any other network, and nothing is lost where all are sure.

    Args:
        networks: At least one, each from images to `Output`.

    Raises:
        ValueError: If there is none.

    Source: Lakshminarayanan et al. 2017, arXiv:1612.01474.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise ValueError("A mean needs at least one network.")
        self.networks = nn.ModuleList(networks)

    def forward(self, image_BCHW: Tensor) -> Output:
        z_KB1HW = torch.stack([network(image_BCHW).logits.float() for network in self.networks])
        if z_KB1HW.shape[2] != 1:
            raise ValueError(f"Expected one output channel, got logits of {tuple(z_KB1HW.shape[1:])}.")
        log_p, log_q = (torch.logsumexp(F.logsigmoid(sign * z_KB1HW), dim=0) for sign in (1, -1))
        return Output(log_p - log_q)
