"""The pictures of a report: which pairs are shown, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.results.pair import Pair
from LungDeepRegLib.results.staging import failing_as_output, staged_file

from .comparison_figure import Panel, comparison_figure
from .record import AFFINE, PAIR, UNREGISTERED, VALIDATION, Record, RunNote
from .rows import of_what, shown_methods, title_of
from .statistics import ALL_GROUPS, DEFAULT, dice_percent, landmark_mm, of_method

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BESIDE_THE_WORST = 3
"""Other methods that stand beside the worst case of ours."""


class FieldsReader(Protocol):
    """Where the pictures' images and transformations come from."""

    def images(self, fixed: str, moving: str) -> Pair:
        """The images of a pair with their lungs, as they were made ready, where they lie in world coordinates."""

    def phi(self, method: str, fixed: str, moving: str) -> DisplacementField | None:
        """The whole map (alignment included) that a method found, fixed to moving RAS mm; None if it wasn't kept.

        Asked for ``affine`` and the methods, never for ``unregistered``.
        """


def by_quality(records: Sequence[Record], method: str, groups: Sequence[str]) -> list[Record]:
    """A method's registrations from the worst to the best, by Dice; those without Dice by similarity."""
    own = [record for record in of_method(records, method, groups) if record.error is None]
    return sorted(own, key=quality)


def quality(record: Record) -> tuple[float, float]:
    """By what registrations are put in order, worst first."""
    return record.dice or 0.0, record.similarity or 0.0


def judged_method(records: Sequence[Record], note: RunNote) -> str | None:
    """Whose registrations say which pairs are shown: the product's defaults, without them the last row that ran."""
    ran = [name for name in shown_methods(records, note) if by_quality(records, name, (*ALL_GROUPS, PAIR))]
    return DEFAULT if DEFAULT in ran else ran[-1] if ran else None


def pair_figure(records: Sequence[Record], note: RunNote, fields: FieldsReader, shown: Record, why: str) -> Figure:
    """One pair through all methods, in a coronal cut."""
    names = [name for name in shown_methods(records, note) if of_pair(records, name, shown) is not None]
    return drawn(records, note, fields, shown, why, names, ("coronal",))


def worst_figure(records: Sequence[Record], note: RunNote, fields: FieldsReader, shown: Record) -> Figure:
    """The worst pair within a patient of the judged method, beside the best others on the same pair, in two cuts."""
    why = f'the worst inhale-exhale pair of "{title_of(shown.method, note)}", and the best others on it'
    return drawn(records, note, fields, shown, why, beside_the_worst(records, shown), ("coronal", "sagittal"))


def beside_the_worst(records: Sequence[Record], shown: Record) -> list[str]:
    """The methods that a worst case is drawn with, itself among them: before, aligned, and the best others."""
    here = [record for record in records if (record.fixed, record.moving) == (shown.fixed, shown.moving)]
    others = [record for record in here if record.method not in (UNREGISTERED, AFFINE, shown.method)]
    others = sorted((record for record in others if record.error is None), key=quality, reverse=True)
    return [UNREGISTERED, AFFINE, shown.method, *(record.method for record in others[:BESIDE_THE_WORST])]


def drawn(
    records: Sequence[Record], note: RunNote, fields: FieldsReader, shown: Record, why: str, names: Sequence[str],
    views: Sequence[str],
) -> Figure:  # fmt: skip
    """The figure of some methods on one pair; a method without a kept field is named, not drawn."""
    panels, absent = [], []
    for name in names:
        record = of_pair(records, name, shown)
        failed = record is None or record.error is not None
        phi = None if failed or name == UNREGISTERED else fields.phi(name, shown.fixed, shown.moving)
        if record is None or failed or (phi is None and name != UNREGISTERED):
            absent.append(title_of(name, note))
        else:
            panels.append(Panel(title_of(name, note), figures_of(record), phi))
    headline = f"{shown.moving} onto {shown.fixed}" + (
        "" if note.one_pair and not note.synthetic else f", {of_what(note)}"
    )
    words = [f"{why[:1].upper()}{why[1:]}.", *diagnosis(shown)]
    words += [f"Not drawn: {'; '.join(absent)} (failed, or no field kept)."] if absent else []
    images = fields.images(shown.fixed, shown.moving)
    return comparison_figure(images, panels or [Panel("Moving", "", None)], headline, " ".join(words), views)


def of_pair(records: Sequence[Record], name: str, shown: Record) -> Record | None:
    """A method's record of the pair that is shown."""
    wanted = name, shown.fixed, shown.moving
    return next((record for record in records if (record.method, record.fixed, record.moving) == wanted), None)


def figures_of(record: Record) -> str:
    """What a panel's note says of a registration."""
    dice, distance = dice_percent(record), landmark_mm(record)
    found = [] if dice is None else [f"Dice {dice:.1f} %"]
    return ", ".join(found if distance is None else [*found, f"landmarks {distance:.1f} mm"])


def diagnosis(record: Record) -> list[str]:
    """The patient's label in words."""
    return [f"Label: {record.fixed_label}."] if record.fixed_label else []


def chosen_pairs(records: Sequence[Record], method: str) -> tuple[Record, Record] | None:
    """Of a method's pairs within patients the median one and the worst one; None without any."""
    ordered = by_quality(records, method, (VALIDATION,))
    return (ordered[len(ordered) // 2], ordered[0]) if ordered else None


def write_figure(path: Path, figure: Figure) -> Path:
    """Write a PNG, whole or not at all, in the place of an earlier one; returns its path.

    Raises:
        OutputError: A full disk, or a place that isn't writable.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with failing_as_output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path, overwrite=True) as unfinished, failing_as_output(path):
        FigureCanvasAgg(figure).print_png(unfinished, pil_kwargs={"compress_level": 3})
    return path
