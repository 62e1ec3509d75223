"""A document as one self-contained HTML page: no script, no network, figures embedded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from pkgs.reports.document import Block, Bullets, Document, Figure, Heading, Table, Text
from pkgs.reports.plot_style import Drawing

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1d1d1f; background: #fff;
       max-width: 1180px; margin: 0 auto; padding: 28px 32px 64px; }
h1 { font-size: 1.7em; margin: 0 0 .1em; } h2 { font-size: 1.25em; margin: 2em 0 .5em; padding-top: .7em;
       border-top: 1px solid #d8d8dc; }
h3 { font-size: 1.05em; margin: 1.4em 0 .4em; }
p { margin: .5em 0; max-width: 85ch; } p, li, figcaption { overflow-wrap: anywhere; }
p.strong { font-size: 1.1em; font-weight: 600; border-left: 4px solid #0072b2; padding: .1em 0 .1em .8em; }
.sub, .quiet { color: #5a5a60; } .quiet { font-size: .9em; }
ul { margin: .5em 0; padding-left: 1.3em; max-width: 90ch; } li { margin: .25em 0; }
ul.warning { background: #fff6e5; border-left: 4px solid #e69f00; padding: .6em 1em .6em 2em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9em; margin: .5em 0 1em; font-variant-numeric: tabular-nums; }
caption, summary { text-align: left; font-weight: 600; padding: .3em 0; } summary { cursor: pointer; }
th, td { padding: .28em .6em .28em 0; text-align: right; white-space: nowrap;
         border-bottom: 1px solid #e6e6ea; }
th { white-space: normal; border-bottom: 1.5px solid #8e8e94; font-weight: 600; vertical-align: bottom; }
th.label, td.label { text-align: left; }
figure { margin: 1em 0 1.6em; } figure img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .9em; color: #5a5a60; max-width: 90ch; margin-top: .4em; }
@media print { body { max-width: none; padding: 0; } details { display: block; } }
"""


def to_html(document: Document) -> str:
    """Return the document as a whole page."""
    title, subtitle = escape(document.title), escape(document.subtitle)
    body = "\n".join(map(_block, document.blocks))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'<h1>{title}</h1>\n<p class="sub">{subtitle}</p>\n{body}\n</body>\n</html>\n'
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Text():
            name = "strong" if block.strong else "quiet"
            return f"<p{_class(name, given=block.strong or block.quiet)}>{escape(block.text)}</p>"
        case Bullets():
            items = "".join(f"<li>{escape(item)}</li>\n" for item in block.items)
            return f"<ul{_class('warning', given=block.warning)}>\n{items}</ul>"
        case Figure():
            return _figure(block.drawing)
        case Table():
            return _table(block)


def _figure(drawing: Drawing) -> str:
    """Embed the PNG: an SVG of an overlay would hold the pixels anyway, and its fonts would be paths."""
    data = base64.b64encode(drawing.png).decode()
    caption = escape(drawing.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{drawing.width_px}" alt="{caption}">\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = _cells("th", table.header, table.labels)
    rows = "\n".join(f"<tr>{_cells('td', row, table.labels)}</tr>" for row in table.rows)
    caption = escape(table.caption)
    above = f"<caption>{caption}</caption>" if caption and not table.folded else ""
    inside = f"{above}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
    whole = f'<div class="wide"><table>{inside}</table></div>'
    return f"<details><summary>{caption}</summary>{whole}</details>" if table.folded else whole


def _cells(tag: str, cells: Sequence[str], labels: int) -> str:
    return "".join(
        f"<{tag}{_class('label', given=i < labels)}>{_cell(cell, tag)}</{tag}>"
        for i, cell in enumerate(cells)
    )


def _cell(text: str, tag: str) -> str:
    """Escape a cell; a long name above a column of short numbers may break after its underscores."""
    return escape(text).replace("_", "_<wbr>") if tag == "th" else escape(text)


def _class(name: str, *, given: bool) -> str:
    return f' class="{name}"' if given else ""
