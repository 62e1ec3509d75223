"""An encoder with a projector: what contrastive pretraining trains. The projections are its logits."""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor, nn

from pkgs.models.output import Output
from pkgs.models.resnet import ResNet

ProjectorName = Literal["simclr", "reference"]


def build_projector(name: ProjectorName, *, features: int, projection: int = 256) -> nn.Sequential:
    """Return a projector from `features` to `projection` numbers.

    `simclr`: Linear d->d with bias, ReLU, Linear d->projection without. `reference`: the form of an earlier
    implementation, Linear d->d, ReLU, Linear d->d, Sigmoid, Linear d->projection, none with bias (8,912,896
    parameters for d = 2048, 655,360 for 512); its sigmoid saturates, so it is there for comparisons only.

    Raises:
        ValueError: If there is no such projector.

    Source: Chen et al. 2020, arXiv:2002.05709, section 4.2.
    """
    if name == "simclr":
        return nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, projection, bias=False)
        )
    if name == "reference":
        return nn.Sequential(
            nn.Linear(features, features, bias=False),
            nn.ReLU(),
            nn.Linear(features, features, bias=False),
            nn.Sigmoid(),
            nn.Linear(features, projection, bias=False),
        )
    raise ValueError(f"Unknown projector {name!r}. Known: reference, simclr.")


@final
class SimClr(nn.Module):
    """A ResNet, the mean over space, and a projector.

    Args:
        depth, in_channels, width: Of the encoder.
        projector: `simclr` or `reference`.
        projection: Length of a projection.
    """

    def __init__(
        self,
        *,
        depth: int,
        in_channels: int = 3,
        width: int = 64,
        projector: ProjectorName = "simclr",
        projection: int = 256,
    ) -> None:
        super().__init__()
        self.encoder = ResNet(depth=depth, in_channels=in_channels, width=width)
        self.projector = build_projector(projector, features=self.encoder.widths[-1], projection=projection)

    def forward(self, image_BCHW: Tensor) -> Output:
        """Return projections [B, projection], not normalised, and the pooled features [B, d]."""
        pooled = self.encoder(image_BCHW).layer4.mean(dim=(-2, -1))
        return Output(self.projector(pooled), features=pooled)
