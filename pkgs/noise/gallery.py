"""The review gallery: one page that is opened from disk, worst patch first, and its pictures beside it.

No server, no network, no framework: `index.html` holds style, script and data; `tiles/` holds the pictures,
which the browser loads as they come into view. Marks stay in the browser until `review.csv` is exported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final, final

from pkgs.noise.findings import KINDS, SUGGESTIONS, Finding, Mask
from pkgs.noise.gallery_tiles import LAYERS, write_image, write_layers
from pkgs.noise.patch_view import PatchView
from pkgs.noise.review import WORDS, Mark

PAGE: Final = Path(__file__).with_name("gallery_page")
FOLDER_OF: Final = 1000
"""Patches per folder of pictures: file managers choke on tens of thousands."""


@final
@dataclass
class Gallery:
    """Written patch by patch, then closed by `finish`."""

    folder: Path
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """What the page starts from where the browser remembers nothing."""
    _entries: list[dict[str, Any]] = field(default_factory=list, init=False)

    def add(self, view: PatchView, findings: Sequence[Finding], *, corrected_HW: Mask) -> None:
        """Write the pictures of one patch and keep its words."""
        number = len(self._entries)
        place = f"tiles/{number // FOLDER_OF:03}/{number:06}"
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_image(self.folder / f"{place}_image.png", view.image)
        write_layers(
            self.folder / f"{place}_layers.png",
            label_HW=view.label == 1,
            probability_HW=view.probability,
            wrong_HW=view.wrong,
            corrected_HW=corrected_HW,
        )
        height, width = view.label.shape
        self._entries.append(
            {
                "id": view.imageid,
                "tile": place,
                "rank": view.rank,
                "score": _short(view.score),
                "p": None if view.p_noisy is None else _short(view.p_noisy),
                "r": view.wrong is not None,
                "found": [_finding(finding, height, width) for finding in findings],
            }
        )

    def finish(self, *, title: str) -> None:
        """Write the page; nothing can be added afterwards."""
        entries = sorted(self._entries, key=lambda entry: (-int(entry["rank"]), str(entry["id"])))
        data = {
            "digest": digest([str(entry["id"]) for entry in entries]),
            "kinds": KINDS,
            "suggestions": SUGGESTIONS,
            "words": WORDS,
            "layers": [layer for layer in LAYERS if layer != "wrong" or any(entry["r"] for entry in entries)],
            "strip": LAYERS,
            "marks": {id_: [mark.word, mark.note] for id_, mark in self.marks.items()},
            "patches": entries,
        }
        parts = {
            "{{title}}": escape(title),
            "{{style}}": _asset("gallery.css"),
            "{{script}}": _asset("gallery.js"),
            "{{data}}": script_text(data),
        }
        page = _asset("index.html")
        head, *rest = page.split("{{")  # each place once, so that no text that is put in is searched again
        whole = head + "".join(
            parts["{{" + name + "}}"] + tail for name, _, tail in (piece.partition("}}") for piece in rest)
        )
        (self.folder / "index.html").write_text(whole, encoding="utf-8", newline="\n")


def digest(worst_first: Sequence[str]) -> str:
    """Return 16 hex digits of a ranking: marks of one are not taken for marks of another."""
    return hashlib.sha256("\n".join(worst_first).encode()).hexdigest()[:16]


def script_text(value: object) -> str:
    """Return JSON that may stand inside a script element, whatever names it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finding(finding: Finding, height: int, width: int) -> list[object]:
    """Return kind, confidence, and the box in per cent of the patch: left, top, width, height."""
    x0, y0, x1, y1 = finding.box
    shares = (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
    return [finding.kind, _short(finding.confidence), *(round(100 * share, 2) for share in shares)]


def _short(value: float) -> float:
    return round(float(value), 4)


def _asset(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
