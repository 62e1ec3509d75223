"""The mask of an item without its image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from pkgs.data.items import Header, Item


@final
@dataclass(frozen=True)
class LabelAlone:
    """Keep `label`, leave out all other arrays."""

    def planned(self, header: Header) -> Header:
        return replace(header, arrays={"label": header.arrays["label"]})

    def __call__(self, item: Item) -> Item:
        return {"label": item["label"]}
