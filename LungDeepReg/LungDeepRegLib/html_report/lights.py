"""The verdict and its lights, which can be told apart without colors too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .markup import Content, Markup, bullets, element, paragraph, section, table
from .numbers import NOTHING, figure

WORDS = {"green": "good", "yellow": "borderline", "red": "bad", "grey": "not measured"}
VERDICTS = {
    "green": "Within all limits",
    "yellow": "Borderline: look closely",
    "red": "Out of limits: do not rely on it",
    "grey": "Not enough measured to judge it",
}
SHAPES = {
    "green": '<circle cx="8" cy="8" r="7"/><path d="M4.5 8.3l2.4 2.4 4.6-5" class="mark"/>',
    "yellow": '<path d="M8 1l7 13H1z"/><path d="M8 5.5v4M8 11.4v.9" class="mark"/>',
    "red": '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z"/><path d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" class="mark"/>',
    "grey": '<circle cx="8" cy="8" r="6.5" class="hollow"/>',
}
"""A tick in a disc, an exclamation mark in a triangle, a cross in an octagon, an empty ring."""
SPACE = "\N{NO-BREAK SPACE}"
DISCLAIMER = (
    "The lights follow figures and limits that can be changed; they can't see everything. Check the pictures by eye."
)


def light(name: str, words: str | None = None) -> Markup:
    """A light with its word."""
    drawn = Markup(f'<svg viewBox="0 0 16 16" aria-hidden="true">{SHAPES[name]}</svg>')
    return element("span", drawn, WORDS[name] if words is None else words, class_=f"light {name}")


def verdict_section(verdict: Mapping[str, Any] | None, checks: Sequence[Mapping[str, Any]] | None) -> Markup:
    """The light of the whole, why, and all lights."""
    if verdict is None:
        return section("Can it be trusted?", paragraph(light("grey", "Not judged"), "verdict"), id_="verdict")
    name = verdict["light"]
    return section(
        "Can it be trusted?",
        paragraph(light(name, VERDICTS[name]), "verdict"),
        bullets(verdict["reasons"]),
        changed_limits(verdict["changed_limits"]),
        check_table(checks or ()),
        paragraph(DISCLAIMER, "note"),
        id_="verdict",
    )


def changed_limits(titles: Sequence[str]) -> Markup | None:
    """Whoever reads a light must know that somebody moved its limits."""
    return paragraph(element("strong", f"Limits changed by the user: {', '.join(titles)}.")) if titles else None


def check_table(checks: Sequence[Mapping[str, Any]]) -> Markup:
    """All lights with their values and limits."""
    rows = [[check["title"], *check_cells(check)] for check in checks]
    return element("div", table(["Check", "Light", "Value", "Limits", "Note"], rows), class_="checks")


def check_cells(check: Mapping[str, Any]) -> list[Content]:
    """A check's light, value, limits and note."""
    value = None if check["value"] is None else figure(check["value"], digits_of(check), check["unit"])
    return [light(check["light"]), value or NOTHING, limits(check), check["note"]]


def meaning_section(checks: Sequence[Mapping[str, Any]] | None) -> Markup:
    """What each check says, and where its limits come from."""
    known = [check for check in checks or () if check["meaning"]]
    entries = (part for check in known for part in (element("dt", check["title"]), element("dd", check["meaning"])))
    source = (
        "TG-132: Brock et al. 2017, Use of image registration and fusion algorithms and techniques in radiotherapy,"
        " Medical Physics 44(7): e43-e76."
    )
    return section("What the checks mean", element("dl", *entries), paragraph(source, "note")) if known else Markup("")


def limits(check: Mapping[str, Any]) -> str:
    """From where on it is good and bad, in words, and what would be so by default."""
    words, default = limits_in_words(check["threshold"], check["unit"]), check["default"]
    return words if default is None else f"{words} (by default: {limits_in_words(default, check['unit'])})"


def limits_in_words(threshold: Mapping[str, Any], unit: str) -> str:
    """One pair of limits."""
    good, bad = (f"{threshold[name]:g}{SPACE}{unit}".strip() for name in ("good", "bad"))
    if threshold["higher_is_better"]:
        return f"good{SPACE}\N{GREATER-THAN OR EQUAL TO}{SPACE}{good}, bad{SPACE}<{SPACE}{bad}"
    return f"good{SPACE}\N{LESS-THAN OR EQUAL TO}{SPACE}{good}, bad{SPACE}>{SPACE}{bad}"


def digits_of(check: Mapping[str, Any]) -> int:
    """Digits behind the point: two more than the limits have, so that it shows on which side of them a value is."""
    threshold = check["threshold"]
    texts = [f"{threshold[name]:g}".partition(".")[2] for name in ("good", "bad")]
    return min(4, max(len(text) for text in texts) + 2)
