"""Colours of the report: dark, as radiologists' screens are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

BACKGROUND, NOWHERE, TEXT, FAINT, ALERT = "#0e1012", "#1f2327", "#eceff1", "#9aa4ab", "#ffb74d"
FIXED_OUTLINE, MOVING_OUTLINE, FOLDED = "#ffd54f", "#4dd0e1", "#ff00ff"

DIFFERENCE_COLOURS = ("#b3e5fc", "#29b6f6", "#0d47a1", BACKGROUND, "#bf360c", "#ffa726", "#fff3e0")
"""Black where both images agree, blue where the moving image is darker, orange where it is brighter."""
DETERMINANT_COLOURS = ("#e1bee7", "#ab47bc", "#4a148c", BACKGROUND, "#00695c", "#26a69a", "#e0f2f1")
"""Black where volume is kept, purple where it shrinks from fixed to moving, green where it grows."""


def colour_map(colours: tuple[str, ...]) -> Colormap:
    """Colours that go over into one another; nothing is drawn where a value is NaN."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("LungDeepReg", colours).with_extremes(bad=NOWHERE)
