"""Which pictures a report has: every way of looking at a result that its nodes allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..presets.preset import Preset
from ..viewsPanel import missing, presetClass

AROUND_MM = 100.0
"""What is shown around a landmark: an error of a few mm is to be seen."""


@dataclass(frozen=True)
class Jump:
    """A landmark pair: its label, its points and where the registration takes the fixed one, RAS mm."""

    label: str
    fixed: Sequence[float]
    moving: Sequence[float]
    registered: Sequence[float]


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        preset: The file of the preset.
        title: What the picture shows.
        settings: What the preset is made with.
        caption: How to read it on paper; empty for what the preset says.
        adjust: Called with the preset when it is shown.
    """

    preset: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    caption: str = ""
    adjust: Callable[[Preset], None] = lambda preset: None

    def make(self, stage: Any, nodes: Any) -> Preset:
        """The preset."""
        return presetClass(self.preset)(stage, nodes, **self.settings)


def shotsOf(nodes: Any, lists: Any = None, worst: Jump | None = None) -> list[Shot]:
    """The pictures of a result, in the order of the report.

    Args:
        nodes: The result, ``mrml.ResultNodes``.
        lists: The landmarks that are shown with it, ``mrml.landmark_pairs.PairLists``, or None.
        worst: The landmark pair to be looked at, or None.
    """
    wanted = [*viewShots(), *mapShots(nodes)]
    if lists is not None:
        wanted.append(landmarkShot(lists, worst))
    return [shot for shot in wanted if not missing(shot.preset, nodes)]


def landmarkShot(lists: Any, worst: Jump | None) -> Shot:
    """The landmarks with the registration's result, at one of them."""
    settings = {"lists": lists, "compared": True}
    if worst is None:
        return Shot("landmarkReview", _("Landmarks"), settings)
    title = _("Landmark {label}, where the error is largest").format(label=worst.label)
    caption = _(
        "From above: fixed, deformed and moving volume, about 10 cm wide; the magenta cross in the moving one is where"
        " the registration takes the fixed point, the yellow one where the landmark was placed. Arrows show how far."
    )

    def jump(review: Any) -> None:
        for sliceNode in review.stage.slices():
            width, height, depth = sliceNode.GetFieldOfView()
            zoom = AROUND_MM / max(width, height)
            sliceNode.SetFieldOfView(zoom * width, zoom * height, depth)
        review.jump(np.array(worst.fixed), np.array(worst.moving), np.array(worst.registered))

    return Shot("landmarkReview", title, settings, caption, jump)


def viewShots() -> list[Shot]:
    """Those of the panel Views; what flickers there are two pictures here."""
    gray = _("In gray, at the same places as the {other} volume in the {which} picture.")
    fixed, deformed = (
        gray.format(other=_("deformed"), which=_("next")),
        gray.format(other=_("fixed"), which=_("last")),
    )
    before, after = (
        _("Fixed volume in blue, {other} volume in orange: gray where they agree.").format(other=other)
        for other in (_("moving"), _("deformed"))
    )
    letters = _("R, A and S point to the patient's right, front and head, in all pictures.")
    points = _("Fixed volume above, moving volume below; the crosses mark matching points.")
    return [
        Shot("overlay", _("Overlay before registration"), {"after": False}, f"{before} {letters}"),
        Shot("overlay", _("Overlay after registration"), {"after": True}, after),
        Shot("flicker", _("Fixed volume"), {}, fixed, lambda flicker: stillOf(flicker, 0.0)),
        Shot("flicker", _("Deformed volume"), {}, deformed, lambda flicker: stillOf(flicker, 1.0)),
        Shot("checkerboard", _("Checkerboard")),
        Shot("difference", _("Difference")),
        Shot("displacement", _("Displacement, colors"), {"style": "magnitude"}),
        Shot("displacement", _("Displacement, arrows"), {"style": "glyphs"}),
        Shot("displacement", _("Displacement, deformed grid"), {"style": "grid"}),
        Shot("jacobian", _("Jacobian")),
        Shot("linkedCursor", _("Matching points"), {}, points),
    ]


def mapShots(nodes: Any) -> list[Shot]:
    """Those of the panel Quality: a picture of each map that was made."""
    titles = {
        "trust": _("Trust"),
        "residual": _("Residual"),
        "correlation": _("Local correlation"),
        "consistency": _("There and back"),
        "ventilation": _("Ventilation by the Jacobian"),
        "ventilation_density": _("Ventilation by the density"),
    }
    return [
        Shot(name, titles[which], {"which": which})
        for name in ("trust", "ventilation")
        for which in presetClass(name).MAPS
        if getattr(nodes, which) is not None
    ]


def stillOf(flicker: Any, opacity: float) -> None:
    """Stop the flicker at one of its two images."""
    flicker.stop()
    flicker.setOpacity(opacity)
