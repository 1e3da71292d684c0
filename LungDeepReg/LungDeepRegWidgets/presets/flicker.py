"""Flicker: fixed and moving image in turn; what jumps doesn't match."""

from __future__ import annotations

from typing import Any, ClassVar

from slicer.i18n import tr as _

from .colors import GREY
from .overlay import Overlay
from .stage import Stage

INTERVAL_MS = 500


class Flicker(Overlay):
    """The fixed image and the moving one, before or after registration, about twice a second.

    Args:
        stage: The views.
        nodes: The result.
        after: Show the deformed image, not the moving one where it lies.
    """

    TINTS: ClassVar = (GREY, GREY)

    def __init__(self, stage: Stage, nodes: Any, after: bool = True) -> None:
        super().__init__(stage, nodes, after, opacity=0.0)
        self._timer: Any = None

    def show(self) -> None:
        """Take the views and begin."""
        import qt

        super().show()
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.connect("timeout()", self.swap)
        self._timer.start()

    def swap(self) -> None:
        """Show the other image."""
        self.setOpacity(1.0 - self.opacity)

    def stop(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Fixed and moving volume in turn: what jumps doesn't match")

    def note(self) -> str:
        """How to read it."""
        return _("Fixed and moving volume in turn: what stands still matches.")
