"""The readers by the name of their folder layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pkgs.data.items import Reader
from pkgs.data.readers.acdc import Acdc
from pkgs.data.readers.alabama import Alabama
from pkgs.data.readers.body_ct import BodyCt
from pkgs.data.readers.brats import Brats
from pkgs.data.readers.cem_1500k import Cem1500k
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.readers.chestxray8 import ChestXray8
from pkgs.data.readers.datacentric import DataCentric
from pkgs.data.readers.dicom import Dicom
from pkgs.data.readers.image_folder import ImageFolder
from pkgs.data.readers.imagenet import ImageNet
from pkgs.data.readers.kits19 import Kits19
from pkgs.data.readers.lits_png import LitsPng
from pkgs.data.readers.npy import Npy
from pkgs.data.readers.rgb_folder import RgbFolder
from pkgs.data.readers.segthor import SegThor
from pkgs.data.readers.volume_folder import VolumeFolder
from pkgs.data.readers.whu import Whu
from pkgs.foundation.registry import choose

READERS: Final[Mapping[str, type[Reader]]] = {
    "acdc": Acdc,
    "alabama": Alabama,
    "body_ct": BodyCt,
    "brats": Brats,
    "cem_1500k": Cem1500k,
    "cem_mitolab": CemMitoLab,
    "chestxray8": ChestXray8,
    "datacentric": DataCentric,
    "dicom": Dicom,
    "image_folder": ImageFolder,
    "imagenet": ImageNet,
    "kits19": Kits19,
    "lits_png": LitsPng,
    "npy": Npy,
    "rgb_folder": RgbFolder,
    "segthor": SegThor,
    "volume_folder": VolumeFolder,
    "whu": Whu,
}
"""Each can be built without arguments; its fields are the options of the layout."""


def channels_of(layout: str) -> int:
    """Return how many channels the images of a layout have: 3 in colour, 1 where its reader says nothing.

    Raises:
        ValueError: If there is no such layout.
    """
    channels: int = getattr(choose("layout", READERS, layout), "channels", 1)
    return channels
