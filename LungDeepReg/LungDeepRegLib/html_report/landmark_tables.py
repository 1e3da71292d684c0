"""The tables of landmark pairs: statistics, observers, and pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .figures import AXES, SPREAD
from .markup import Content, Markup, bullets, element, grouped_table, joined, paragraph, section, table
from .numbers import NOT_MEASURED, NOTHING, figure, mean_and_sd

AFTER_OR_BEFORE = {"before": "before registration", "after": "after registration"}
ONLY_BLIND = (
    "Only pairs count whose two points a person placed without the registration's help. All distances are in mm; dx, dy"
    " and dz are along the patient's right-left, front-back and head-feet axes."
)


def landmark_section(landmarks: Mapping[str, Any] | None, observers: Mapping[str, Any] | None) -> Markup:
    """Everything about the pairs that people placed."""
    title = "Landmark pairs"
    if not landmarks or not landmarks["pairs"]:
        missing = element("span", f"Landmark pairs placed by a person: {NOT_MEASURED}.", class_="missing")
        return section(title, paragraph(missing))
    return section(
        title,
        paragraph(ONLY_BLIND, "note"),
        statistics_table(landmarks["statistics"]),
        left_out(landmarks),
        observer_table(observers),
        pair_table(landmarks),
    )


def statistics_table(statistics: Mapping[str, Any]) -> Markup:
    """The errors of blind pairs before and after; without the doubtful ones where that makes a difference."""
    groups, absent = {}, []
    for which, words in AFTER_OR_BEFORE.items():
        for name, figures in statistics[which].items():
            title = f"Blind pairs {words}" + (", without doubtful ones" if name != "all" else "")
            if figures is None and name == "all":
                absent.append(paragraph(f"{title}: {NOT_MEASURED}.", "missing"))
            elif figures is not None and (name == "all" or figures != statistics[which]["all"]):
                groups[title] = distribution_rows(figures)
    return joined(grouped_table(["", *SPREAD.values()], groups) if groups else None, *absent)


def distribution_rows(figures: Mapping[str, Any]) -> list[list[Content]]:
    """Distributions along all axes."""
    return [[words, *(figure(figures[axis][name], 2) for name in SPREAD)] for axis, words in AXES.items()]


def left_out(landmarks: Mapping[str, Any]) -> Markup:
    """Which pairs don't count, and why."""
    total = len(landmarks["pairs"])
    counts = [f"{count} of {total} pairs left out: {reason}" for reason, count in landmarks["left_out"].items()]
    return bullets(counts, "note")


def observer_table(observers: Mapping[str, Any] | None) -> Markup:
    """Two observers, and the registration beside them."""
    if observers is None:
        return paragraph(f"Two observers compared: {NOT_MEASURED}.", "missing")
    head = ["", *AXES, *(f"ds {SPREAD[name].lower()}" for name in ("median", "p95", "max"))]
    rows = []
    for entry in observers["rows"]:
        distances = entry["distances"]
        means = [mean_and_sd(distances[axis], 2) for axis in AXES]
        more = [figure(distances["ds"][name], 2) for name in ("median", "p95", "max")]
        rows.append([entry["what"].capitalize(), *means, *more])
    called = zip(("first", "second"), observers["names"], strict=False)
    names = [f"{which}: {entry['observer']}" for which, entry in called if entry["observer"] != f"{which} observer"]
    who = f" ({', '.join(names)})" if names else ""
    common = f"{len(observers['labels'])} pairs in common"
    return table(head, rows, f"Two observers{who}, {common}: mean \N{PLUS-MINUS SIGN} SD")


def pair_table(landmarks: Mapping[str, Any]) -> Markup:
    """Pair by pair."""
    head = ["Pair", *AXES, *AXES, "Observer", "Placed", "Review", ""]
    over = [("", 1), ("Before [mm]", len(AXES)), ("After [mm]", len(AXES)), ("", 4)]
    rows = []
    for pair in landmarks["pairs"]:
        distances = [
            NOTHING if pair[which] is None else figure(pair[which][axis], 2)
            for which in AFTER_OR_BEFORE
            for axis in AXES
        ]
        placed = placing(pair)
        why = f"left out: {pair['left_out']}" if pair["left_out"] else ""
        rows.append([pair["label"], *distances, pair["observer"] or NOTHING, placed, pair["state"], why])
    return table(head, rows, "All pairs", over)


def placing(pair: Mapping[str, Any]) -> str:
    """How both points came to their places."""
    if pair["blind"]:
        return "blind"
    fixed, moving = pair["fixed_provenance"], pair["moving_provenance"]
    return fixed if fixed == moving else f"{fixed}, {moving}"
