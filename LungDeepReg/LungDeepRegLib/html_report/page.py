"""The page: verdict and lights first, then pictures, then tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from .content import Picture
from .figures import Figures, further_section, making_section, whole
from .landmark_tables import landmark_section
from .lights import meaning_section, verdict_section
from .markup import Markup, bullets, element, escaped, joined, paragraph, section
from .region_tables import region_sections
from .style import STYLE

TITLE = "Lung registration report"
NOTICE = "Research software, not for clinical use."


def page(data: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """The report as one HTML file that needs nothing else.

    Args:
        data: From :func:`content.report_data`.
        pictures: From :func:`content.captioned`.
    """
    summary = data["summary"]
    figures = Figures(summary)
    body = joined(
        header(data),
        element(
            "main",
            verdict_section(data["verdict"], data["checks"]),
            warning_section([*(summary.get("warnings") or ()), *data["notes"]]),
            picture_section(pictures),
            whole(figures, data["assessment"]),
            landmark_section(data["landmarks"], data["observers"]),
            region_sections(data["regions"], data["assessment"]),
            meaning_section(data["checks"]),
            making_section(figures),
            further_section(figures),
        ),
        element("footer", element("strong", NOTICE), " ", about(data)),
    )
    head = (
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escaped(TITLE)}</title>",
        f"<style>{STYLE}</style>",
    )
    joined_head = "\n".join(head)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{joined_head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def header(data: Mapping[str, Any]) -> Markup:
    """What it is, of which images, and what it isn't for."""
    summary = data["summary"]
    images = f"{summary.get('moving')} (moving) \N{RIGHTWARDS ARROW} {summary.get('fixed')} (fixed)"
    return element(
        "header",
        paragraph(NOTICE, "notice"),
        element("h1", TITLE),
        paragraph(images, "images"),
        paragraph(f"Written {data['written']}. {about(data)}", "note"),
    )


def about(data: Mapping[str, Any]) -> str:
    """Which program made it."""
    versions = data["summary"].get("versions") or {}
    name, version = next(iter(versions.items()), ("LungDeepReg", None))
    return f"{name.removesuffix('Lib')} {version or ''}".strip() + "."


def warning_section(notes: Sequence[str]) -> Markup:
    """What the reader should know."""
    return section("Please note", bullets(notes), id_="warnings")


def picture_section(pictures: Sequence[Picture]) -> Markup:
    """The pictures, numbered."""
    if not pictures:
        return section("Pictures", paragraph("No pictures were made.", "missing"))
    drawn = [drawn_picture(number, entry) for number, entry in enumerate(pictures, start=1)]
    return section("Pictures", *drawn)


def drawn_picture(number: int, picture: Picture) -> Markup:
    """One picture with its caption."""
    width, height = picture.size
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    image = element("img", src=source, alt=picture.title, width=str(width), height=str(height))
    words = element("figcaption", element("strong", f"{number}. {picture.title}."), " ", picture.caption)
    return element("figure", image, words)
