"""Parts of a network that stay as they are while the rest trains, batch statistics included."""

from __future__ import annotations

from typing import Self

from torch import nn


class Freezable(nn.Module):
    """A module that can be frozen: no gradients, and evaluation mode whatever `train()` says.

    Stopping gradients alone is not enough: batch normalisation in training mode would go on to move its
    running statistics, and to normalise by the batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False

    def freeze(self) -> Self:
        """Stop gradients and statistics for good; the state dict no longer changes."""
        self.frozen = True
        self.requires_grad_(requires_grad=False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Switch the mode of all parts; a frozen one stays in evaluation mode."""
        return super().train(mode and not self.frozen)
