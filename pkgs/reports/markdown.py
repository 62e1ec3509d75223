"""A document as Markdown, with figures linked from `figures/`."""

from __future__ import annotations

from collections.abc import Sequence

from pkgs.reports.document import Block, Bullets, Document, Figure, Heading, Table, Text


def to_markdown(document: Document) -> str:
    """Return the document as Markdown, tables in the pipe form."""
    parts = [f"# {document.title}", document.subtitle, *map(_block, document.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_escape(block.text)}"
        case Text():
            return f"**{_escape(block.text)}**" if block.strong else _escape(block.text)
        case Bullets():
            return "\n".join(f"- {_escape(item)}" for item in block.items)
        case Figure():
            drawing = block.drawing
            return f"![{_escape(drawing.caption)}](figures/{drawing.name}.png)\n\n{_escape(drawing.caption)}"
        case Table():
            return table_to_markdown(block)


def table_to_markdown(table: Table) -> str:
    """Return one table in the pipe form, its caption above."""
    rule = ["---" if i < table.labels else "---:" for i in range(len(table.header))]
    lines = [_line(table.header), "|" + "|".join(rule) + "|", *map(_line, table.rows)]
    caption = f"**{_escape(table.caption)}**\n\n" if table.caption else ""
    return caption + "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escape, cells)) + " |"


def _escape(text: str) -> str:
    for mark in ("\\", "|", "*", "_", "<", "`", "["):
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
