"""Writing a mask so that it can stand in for another file: format, type, and whatever else a TIFF says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import tifffile
from numpy.typing import NDArray
from PIL import Image

from pkgs.data.formats.decoding import decoding
from pkgs.data.formats.grey_image import TIFF_ENDINGS
from pkgs.data.items import DataError

LOSSY: Final = (".jpg", ".jpeg")
OWN_TAGS: Final = frozenset(
    {
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
        *(322, 323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 530, 531, 532, 34665, 34853, 40965),
    }
)
"""Tags that describe how the pixels lie in the file, or point into it: they are the new file's own."""
KEPT_COMPRESSIONS: Final = (tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.ADOBE_DEFLATE)
"""Others become deflate, which every program reads and which needs no further library to write."""
RESOLUTION: Final = (282, 283, 296)


def write_like(target: Path, source: Path, plane: NDArray[Any]) -> None:
    """Write `plane` in the format of `source`.

    A TIFF keeps byte order, photometric interpretation and all tags that do not describe the layout of its
    pixels: resolution, description, georeference (ModelPixelScale, ModelTiepoint, ModelTransformation,
    GeoKeys), GDAL's metadata and its value for missing data.

    Args:
        target: Replaced if it exists.
        source: A mask of one plane.
        plane: [rows, columns] in the type that `read_plane` gives for `source`.

    Raises:
        DataError: If `source` is damaged, or of a format that changes the values it is given.
    """
    ending = source.suffix.lower()
    if ending in LOSSY:
        raise DataError(f"{source}: JPEG blurs the values of a mask. Store the masks as PNG or TIFF.")
    with decoding(source):
        if ending in TIFF_ENDINGS:
            _write_tiff(target, source, plane)
        else:
            _write_picture(target, source, plane)


def _write_picture(target: Path, source: Path, plane: NDArray[Any]) -> None:
    with Image.open(source) as picture:
        mode, kind, dpi = picture.mode, picture.format, picture.info.get("dpi")
    new = Image.fromarray(plane.astype(bool) if mode == "1" else plane)
    new.save(target, format=kind, **({} if dpi is None else {"dpi": dpi}))


def _write_tiff(target: Path, source: Path, plane: NDArray[Any]) -> None:
    with tifffile.TiffFile(source) as file:
        page = file.pages.first
        compression = tifffile.COMPRESSION(page.compression)
        if compression not in KEPT_COMPRESSIONS:
            compression = tifffile.COMPRESSION.ADOBE_DEFLATE
        tags = [
            (tag.code, tag.dtype, tag.count, tag.value, True)
            for tag in page.tags
            if tag.code not in {*OWN_TAGS, *RESOLUTION}
        ]
        tifffile.imwrite(
            target,
            plane,
            byteorder=file.byteorder,
            bigtiff=file.is_bigtiff,
            photometric=page.photometric,
            compression=compression,
            metadata=None,  # else tifffile writes a description of its own
            software=False,
            extratags=tags,
            **_resolution(page),
        )


def _resolution(page: tifffile.TiffPage) -> dict[str, Any]:
    """Return pixels per unit and unit, which tifffile does not take as tags."""
    if not all(code in page.tags for code in RESOLUTION[:2]):
        return {}
    pair = tuple(page.tags[code].value for code in RESOLUTION[:2])
    unit = page.tags[296].value if 296 in page.tags else tifffile.RESUNIT.INCH
    return {"resolution": pair, "resolutionunit": unit}
