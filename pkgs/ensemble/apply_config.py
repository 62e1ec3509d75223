"""Whom a trained network is asked about once it is judged: maps for a ranking of labels. Loads no torch."""

from __future__ import annotations

from typing import Literal

from pkgs.data.catalog import channels_of
from pkgs.data.config import DataConfig, SplitConfig
from pkgs.foundation.config import Section


class ApplyConfig(Section):
    """Given labels, or patches, that the trained network is asked about; it leaves maps of them."""

    data: DataConfig | None = None
    """Another labelled set, the whole of it; its split says nothing here. Empty: the test part of the run's
    own set, with the labels that lie there. Size and colours must be those of the training."""

    weights: Literal["last", "best"] = "best"
    """Whose answer."""

    @property
    def whole(self) -> DataConfig | None:
        """The other set, every image of it, with the labels that lie there; None without one."""
        asked = {"labels": "", "test_labels": "", "keep": "", "split": SplitConfig(by="all")}
        return self.data.model_copy(update=asked) if self.data else None

    def fault_beside(self, own: DataConfig) -> str:
        """Return what is wrong with asking a network trained on `own`; empty if nothing is.

        Raises:
            ValueError: If there is no such layout.
        """
        if self.data is None:
            return ""
        channels, others = channels_of(own.layout), channels_of(self.data.layout)
        if others == channels:
            return ""
        return (
            f"apply.data.layout: images of {self.data.layout} have {others} channels, those of {own.layout}, "
            f"on which the network is trained, {channels}. Apply it to images of the same kind."
        )
