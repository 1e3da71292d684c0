"""The tables of summary.json: each figure stands once, none is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .markup import Content, Markup, element, grouped_table, joined, paragraph, section, table
from .numbers import NOT_MEASURED, NOTHING, figure

WHEN = {"before": "Before", "aligned": "Aligned", "after": "Registered"}
AXES = {"dx": "dx (right-left)", "dy": "dy (front-back)", "dz": "dz (head-feet)", "ds": "ds (in space)"}
SPREAD = {"mean": "Mean", "sd": "SD", "median": "Median", "p95": "95 %", "max": "Max"}
DEFORMATION = (
    ("folded_percent_lung", "Folded in the lungs", 3, "%"),
    ("folded_percent", "Folded in the whole field", 3, "%"),
    ("mean_jacobian_lung", "Mean Jacobian in the lungs", 3, ""),
    ("lung_volume_ratio", "Ratio of the lungs' volumes, moving to fixed", 3, ""),
    ("jacobian_lung.min", "Least Jacobian in the lungs", 3, ""),
    ("jacobian_lung.max", "Greatest Jacobian in the lungs", 3, ""),
    ("jacobian_lung.percent_outside", "Part of the lungs with a Jacobian outside 0.3 to 3", 2, "%"),
    ("jacobian_lung.log_sd", "SD of the Jacobian's logarithm in the lungs", 3, ""),
    ("coverage_percent_lung", "Part of the lungs that the moving image covers", 2, "%"),
)
CONSISTENCY = (
    ("inverse_consistency_mm", "Forward and back by the registration of the swapped pair"),
    ("inversion_residual_mm", "Residual of the inverse"),
)
TEXTS = ("fixed", "moving", "warnings", "not_for_clinical_use", "similarity.measure")
"""Entries that the page shows elsewhere."""


class Figures:
    """The entries of a summary by their paths, such as ``landmark_error_mm.after.ds.mean``; knows which are shown."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self.entries = dict(flattened(summary))
        self._left = dict.fromkeys(self.entries)

    def get(self, path: str) -> Any:
        """An entry, which counts as shown; None where it or what it belongs to is null or absent."""
        self._left.pop(path, None)
        for end in range(1, path.count(".") + 1):  # landmark_error_mm: null stands for all of its entries
            self._left.pop(".".join(path.split(".")[:end]), None)
        return self.entries.get(path)

    def cell(self, path: str, digits: int, unit: str = "") -> Markup:
        """An entry for a table's cell."""
        return figure(self.get(path), digits, unit, path)

    def under(self, path: str) -> list[str]:
        """The paths that begin with this one, or itself."""
        return [entry for entry in self.entries if entry == path or entry.startswith(f"{path}.")]

    def left(self) -> list[str]:
        """What hasn't been shown yet."""
        return list(self._left)


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All leaves of nested data with their paths; lists count from 1."""
    if isinstance(value, Mapping) and value:
        for name, entry in value.items():
            yield from flattened(entry, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for number, entry in enumerate(value, start=1):
            yield from flattened(entry, f"{path}.{number}")
    else:
        yield path, None if value == {} or value == [] else value


def match_section(figures: Figures) -> Markup:
    """Overlap and similarity before, aligned and after."""
    rows: list[Sequence[Content]] = [
        ["Dice of the lungs", *(figures.cell(f"dice_{when}", 3) for when in WHEN)],
        ["95 % Hausdorff distance of the lungs", *(figures.cell(f"hausdorff95_mm.{when}", 2, "mm") for when in WHEN)],
        ["Local correlation", figures.cell("similarity.before", 3), NOTHING, figures.cell("similarity.after", 3)],
    ]
    return section("How well the images match", table(["", *WHEN.values()], rows))


def error_section(figures: Figures) -> Markup:
    """Errors of the landmarks that came with the images."""
    title, about = "Error of the landmarks that came with the images", "landmark_error_mm"
    if not any(figures.entries.get(f"{about}.{when}.ds.mean") is not None for when in WHEN):
        figures.get(about)
        missing = element("span", f"Landmark errors: {NOT_MEASURED}.", class_="missing", data_entry=about)
        return section(title, paragraph(missing))
    groups = {}
    for when, name in WHEN.items():
        if figures.entries.get(f"{about}.{when}.ds.mean") is None:
            figures.get(f"{about}.{when}")
            continue
        groups[name] = spread_rows(figures, {f"{about}.{when}.{axis}": words for axis, words in AXES.items()})
    note = "Distances in mm between the registration's position of each fixed landmark and the moving landmark."
    return section(title, paragraph(note, "note"), grouped_table(["", *SPREAD.values()], groups))


def spread_rows(figures: Figures, rows: Mapping[str, str]) -> list[list[Content]]:
    """Distributions in mm, one a row, by their paths."""

    def cells(path: str) -> Iterator[Content]:
        for name in SPREAD:
            known = f"{path}.{name}" in figures.entries
            yield figures.cell(f"{path}.{name}", 2) if known else NOTHING

    return [[words, *cells(path)] for path, words in rows.items()]


def deformation_section(figures: Figures) -> Markup:
    """Jacobian, folding and coverage."""
    rows = [[words, figures.cell(path, digits, unit)] for path, words, digits, unit in DEFORMATION]
    return section("Deformation", table([], rows))


def consistency_section(figures: Figures, assessment: Mapping[str, Any] | None) -> Markup:
    """The way back, which may have been measured later than the summary."""
    known = {path: f"{words} [mm]" for path, words in CONSISTENCY if figures.entries.get(f"{path}.mean") is not None}
    rows = spread_rows(figures, known)
    later = (assessment or {}).get("inverse_consistency_mm")
    if later:
        path, words = CONSISTENCY[0]
        rows.append([f"{words}, in the assessment [mm]", *(figure(later.get(name), 2) for name in SPREAD)])
        if path not in known:
            figures.get(path)
            known[path] = words
    absent: list[Sequence[Content]] = [
        [words, figures.cell(path, 2)] for path, words in CONSISTENCY if path not in known
    ]
    measured = table(["", *SPREAD.values()], rows) if rows else None
    return section("The way back", measured, table([], absent) if absent else None)


def making_section(figures: Figures) -> Markup:
    """How the result came about: masks, settings, weights, versions, times."""
    parts = [
        ("Images", ["masks", "intensity"]),
        ("Settings", ["options", "seed", "device"]),
        ("Versions", ["versions"]),
        ("Time and memory", ["seconds", "seconds_total", "peak_memory_mb"]),
    ]
    tables = [entry_table(figures, [path for name in names for path in figures.under(name)], caption)
              for caption, names in parts]  # fmt: skip
    return section("How it was made", *tables)


def further_section(figures: Figures) -> Markup:
    """Whatever else a summary has."""
    left = [path for path in figures.left() if path not in TEXTS and not path.startswith("warnings.")]
    return section("Further figures", entry_table(figures, left)) if left else Markup("")


def entry_table(figures: Figures, paths: Sequence[str], caption: str = "") -> Markup | None:
    """Entries by their own names."""
    rows = [[name_of(path), entry_cell(figures, path)] for path in paths]
    return table([], rows, caption) if rows else None


def entry_cell(figures: Figures, path: str) -> Markup:
    """A number, a text, yes or no."""
    value = figures.get(path)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figure(value, 3, unit_of(path), path)
    if value is None:
        return element("span", NOTHING, class_="missing", data_entry=path)
    return element("span", {True: "yes", False: "no"}.get(value, str(value)), data_entry=path)


def unit_of(path: str) -> str:
    """The unit that an entry's name tells."""
    if path.split(".")[0].startswith("seconds"):
        return "s"
    for ending, unit in (("_mm", "mm"), ("_mb", "MB"), ("_percent", "%")):
        if any(part.endswith(ending) for part in path.split(".")):
            return unit
    return ""


def name_of(path: str) -> str:
    """An entry's name for people: without what its table is about, and without underscores."""
    parts = path.split(".")
    known = ("options", "versions", "seconds", "masks", "intensity")
    words = " ".join(parts[1:] if parts[0] in known[:3] and len(parts) > 1 else parts).replace("_", " ")
    return {"seconds total": "all", "masks fixed": "lung mask of the fixed image",
            "masks moving": "lung mask of the moving image", "intensity fixed": "values of the fixed image",
            "intensity moving": "values of the moving image"}.get(words, words)  # fmt: skip


def whole(figures: Figures, assessment: Mapping[str, Any] | None = None) -> Markup:
    """All tables of the summary, in their order."""
    return joined(
        match_section(figures),
        error_section(figures),
        deformation_section(figures),
        consistency_section(figures, assessment),
    )
