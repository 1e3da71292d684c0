"""The tables of the lungs' parts: trust, ventilation, and motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .markup import Content, Markup, joined, paragraph, section, table
from .numbers import NOT_MEASURED, NOTHING, figure, mean_and_sd

TRUST = {
    "trust": ("Trust, 0 to 1", 2),
    "residual": ("Residual", 1),
    "correlation": ("Local correlation", 2),
    "consistency_mm": ("Forward and back [mm]", 2),
}
VENTILATION = {"jacobian": ("Jacobian", 3), "ventilation_jacobian": ("By the Jacobian", 3),
               "ventilation_density": ("By the density", 3)}  # fmt: skip
VENTILATION_NOTE = (
    "Specific volume change: 0.5 is a change of volume by half. As a whole: of the region, by its mean Jacobian. By the"
    " Jacobian: the map's values, whose mean is higher where they vary; by the density: those of the air alone, from"
    " the Hounsfield units of two CTs (Simon 2000, Guerrero 2005). A research map, not a lung function test."
)
MOTION = {
    "displacement_mm": ("Displacement [mm]", 1),
    "displacement_beyond_mean_mm": ("Beyond the lungs' mean [mm]", 1),
}
DIRECTIONS = {
    "displacement_r_mm": ("right [mm]", 1),
    "displacement_a_mm": ("front [mm]", 1),
    "displacement_s_mm": ("head [mm]", 1),
}
MOTION_NOTE = (
    "How far a place of the fixed image lies from the same tissue in the moving one, where both lie in the scanner: two"
    " scans' tables may differ, which the lungs' mean displacement holds. Means to the patient's right, front and head;"
    " negative to the left, back and feet."
)
INHALE = {"fixed": "The fixed image is the inhaled one.", "moving": "The moving image is the inhaled one.",
          None: "It isn't known which image is the inhaled one, so the sign is not given."}  # fmt: skip


def region_sections(regions: Sequence[Mapping[str, Any]] | None, assessment: Mapping[str, Any] | None) -> Markup:
    """Trust, ventilation and motion of the lungs as a whole, of each lung and of thirds."""
    trust, ventilation, motion = "Trust by region", "Ventilation by region", "Motion by region"
    if not regions:
        missing = [paragraph(f"{title}: {NOT_MEASURED}.", "missing") for title in (trust, ventilation, motion)]
        return section("Regions", *missing)
    known = assessment or {}
    unit = known.get("residual_unit") or ""
    headings = {**TRUST, "residual": (f"Residual [{unit}]" if unit else "Residual", 1)}
    low = {"low_trust_percent": ("Low trust [%]", 1)}
    return joined(
        section(trust, figure_table(regions, headings, low), whole_table(known)),
        section(
            ventilation,
            paragraph(f"{VENTILATION_NOTE} {INHALE.get(known.get('inhale'), '')}", "note"),
            figure_table(regions, VENTILATION, {"volume_change": ("As a whole", 3)}),
        ),
        section(motion, paragraph(MOTION_NOTE, "note"), figure_table(regions, MOTION, DIRECTIONS)),
    )


def figure_table(
    regions: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, int]], single: Mapping[str, tuple[str, int]]
) -> Markup:
    """A row for each region: its volume, mean, SD and median of what was measured there, then single figures."""
    measured = {name: words for name, words in columns.items() if any(row.get(name) for row in regions)}
    head = ["Region", "Volume [ml]", *["mean \N{PLUS-MINUS SIGN} SD", "median"] * len(measured)]
    over = [("", 2), *((title, 2) for title, _ in measured.values())]
    head += [title for title, _ in single.values()]
    over.append(("", len(single)))
    rows: list[list[Content]] = []
    for region in regions:
        cells: list[Content] = [region["region"], figure(region.get("volume_ml"), 0)]
        for name, (_, digits) in measured.items():
            cells += distribution(region.get(name), digits)
        rows.append([*cells, *(figure(single_of(region.get(name)), digits) for name, (_, digits) in single.items())])
    absent = [title for name, (title, _) in columns.items() if name not in measured]
    note = paragraph(f"{', '.join(absent)}: {NOT_MEASURED}.", "missing") if absent else None
    return joined(table(head, rows, over=over), note)


def single_of(value: Mapping[str, float] | float | None) -> float | None:
    """A figure itself, or the mean of a distribution."""
    return value.get("mean") if isinstance(value, Mapping) else value


def distribution(found: Mapping[str, Any] | None, digits: int) -> list[Content]:
    """Mean with standard deviation, and median."""
    if not found:
        return [NOTHING, NOTHING]
    return [mean_and_sd(found, digits), figure(found["median"], digits)]


def whole_table(assessment: Mapping[str, Any]) -> Markup | None:
    """The single figures of the assessment."""
    unit = assessment.get("residual_unit") or ""
    wanted = (
        ("residual_rms", "Residual in the lungs, root mean square", 1, unit),
        ("correlation_mean", "Local correlation in the lungs, mean", 3, ""),
        ("trust_mean", "Trust in the lungs, mean", 3, ""),
        ("low_trust_percent", "Part of the lungs with low trust", 1, "%"),
    )
    rows: list[list[Content]] = [
        [words, figure(assessment[name], digits, of)] for name, words, digits, of in wanted if name in assessment
    ]
    return table([], rows) if rows else None
