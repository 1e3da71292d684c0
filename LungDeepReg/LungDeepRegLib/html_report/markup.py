"""The few pieces of HTML that the report is made of. Every text is escaped: names come from files and people."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

VOID = ("img", "meta")


class Markup(str):
    """HTML that is ready; any other text is escaped where it is put in."""

    __slots__ = ()


Content = str | None
"""Text, or :class:`Markup`; None for nothing."""


def escaped(content: Content) -> str:
    """Ready HTML as it is, text with its special characters escaped."""
    if content is None:
        return ""
    return str(content) if isinstance(content, Markup) else html.escape(content)


def element(name: str, *children: Content, **attributes: str | None) -> Markup:
    """One element. An attribute ``class_`` is HTML's ``class``, ``data_entry`` its ``data-entry``; None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{''.join(map(escaped, children))}</{name}>")


def joined(*parts: Content) -> Markup:
    """Pieces one after the other."""
    return Markup("\n".join(escaped(part) for part in parts if part))


def table(
    head: Sequence[Content],
    rows: Sequence[Sequence[Content]],
    caption: str = "",
    over: Sequence[tuple[str, int]] = (),
) -> Markup:
    """A table whose first column names the rows; on a narrow screen it scrolls within its frame.

    Args:
        head: The columns' names.
        rows: Their cells.
        caption: Stands above it.
        over: A row above the columns' names, for wide tables: words, and over how many columns they stand.
    """
    above = element("tr", *(element("th", words, colspan=str(width), scope="colgroup") for words, width in over))
    names = element("tr", *(element("th", cell, scope="col") for cell in head))
    top = element("thead", above if over else None, names)
    body = element("tbody", *(row(cells) for cells in rows))
    named = element("caption", caption) if caption else None
    return element(
        "div", element("table", named, top if any(head) else None, body), class_="scroll wide" if over else "scroll"
    )


def grouped_table(head: Sequence[Content], groups: Mapping[str, Sequence[Sequence[Content]]]) -> Markup:
    """A table whose rows stand in groups, each under its name."""
    top = element("thead", element("tr", *(element("th", cell, scope="col") for cell in head)))
    width = str(len(head))
    bodies = (
        element("tbody", element("tr", element("th", name, colspan=width, scope="rowgroup")), *map(row, rows))
        for name, rows in groups.items()
    )
    return element("div", element("table", top, *bodies), class_="scroll groups")


def row(cells: Sequence[Content]) -> Markup:
    """One row of a table."""
    first, *others = cells
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others))


def section(title: str, *parts: Content, id_: str | None = None) -> Markup:
    """A part of the page under a heading; nothing if it is empty."""
    inner = joined(*parts)
    return element("section", element("h2", title), inner, id_=id_) if inner else Markup("")


def paragraph(text: Content, class_: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", text, class_=class_)


def bullets(texts: Sequence[str], class_: str | None = None) -> Markup:
    """A list; nothing if it is empty."""
    return element("ul", *(element("li", text) for text in texts), class_=class_) if texts else Markup("")
