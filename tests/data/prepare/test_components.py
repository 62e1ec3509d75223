"""What hangs together in a mask is one object."""

from __future__ import annotations

import numpy as np

from pkgs.data.items import ArraySpec, Header
from pkgs.data.prepare.components import Components, connected


def test_edges_and_corners_connect_and_ignored_pixels_do_not() -> None:
    label = np.array([[1, 0, 0, 1], [0, 1, 0, 255], [0, 0, 0, 1]], np.uint8)
    assert connected(label).tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 3]]


def test_an_empty_mask_has_no_object() -> None:
    assert connected(np.zeros((3, 3), np.uint8)).max() == 0


def test_only_the_objects_are_kept_as_planned() -> None:
    specs = {"image": ArraySpec("image", "uint8", (3, 4, 4)), "label": ArraySpec("label", "uint8", (4, 4))}
    planned = Components().planned(Header(specs)).arrays
    made = Components()({"image": np.zeros((3, 4, 4), np.uint8), "label": np.ones((4, 4), np.uint8)})
    assert planned == {"instances": ArraySpec("label", "uint16", (4, 4))}
    assert {name: (array.dtype.name, array.shape) for name, array in made.items()} == {
        "instances": ("uint16", (4, 4))
    }
