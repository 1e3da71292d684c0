"""Which pictures a report has: every way of looking at a result that its nodes allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slicer.i18n import tr as _

from ..presets.preset import Preset
from ..viewsPanel import missing, presetClass


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        preset: The file of the preset.
        title: What the picture shows.
        settings: What the preset is made with.
        adjust: Called with the preset when it is shown.
    """

    preset: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    adjust: Callable[[Preset], None] = lambda preset: None

    def make(self, stage: Any, nodes: Any) -> Preset:
        """The preset."""
        return presetClass(self.preset)(stage, nodes, **self.settings)


def shotsOf(nodes: Any, lists: Any = None) -> list[Shot]:
    """The pictures of a result, in the order of the report.

    Args:
        nodes: The result, ``mrml.ResultNodes``.
        lists: The landmarks that are shown with it, ``mrml.landmark_pairs.PairLists``, or None.
    """
    wanted = [*viewShots(), *mapShots(nodes)]
    if lists is not None:
        wanted.append(Shot("landmarkReview", _("Landmarks"), {"lists": lists, "compared": True}))
    return [shot for shot in wanted if not missing(shot.preset, nodes)]


def viewShots() -> list[Shot]:
    """Those of the panel Views; what flickers there are two pictures here."""
    return [
        Shot("overlay", _("Overlay before registration"), {"after": False}),
        Shot("overlay", _("Overlay after registration"), {"after": True}),
        Shot("flicker", _("Fixed volume"), adjust=lambda flicker: stillOf(flicker, 0.0)),
        Shot("flicker", _("Deformed volume"), adjust=lambda flicker: stillOf(flicker, 1.0)),
        Shot("checkerboard", _("Checkerboard")),
        Shot("difference", _("Difference")),
        Shot("displacement", _("Displacement, colors"), {"style": "magnitude"}),
        Shot("displacement", _("Displacement, arrows"), {"style": "glyphs"}),
        Shot("displacement", _("Displacement, deformed grid"), {"style": "grid"}),
        Shot("jacobian", _("Jacobian")),
        Shot("linkedCursor", _("Matching points")),
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
