"""The readers by the name of their folder layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pkgs.data.readers.acdc import Acdc
from pkgs.data.readers.body_ct import BodyCt
from pkgs.data.readers.brats import Brats
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.readers.dicom import Dicom
from pkgs.data.readers.kits19 import Kits19
from pkgs.data.readers.npy import Npy
from pkgs.data.readers.segthor import SegThor
from pkgs.data.readers.volume_folder import VolumeFolder

READERS: Final[Mapping[str, type[Any]]] = {
    "acdc": Acdc,
    "body_ct": BodyCt,
    "brats": Brats,
    "cem_mitolab": CemMitoLab,
    "dicom": Dicom,
    "kits19": Kits19,
    "npy": Npy,
    "segthor": SegThor,
    "volume_folder": VolumeFolder,
}
