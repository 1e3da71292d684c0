"""The observers of two images, each with lists of their own in the scene."""

from __future__ import annotations

from typing import Any

import slicer
from LungDeepRegLib.mrml.landmark_pairs import PairLists, add_pair_lists, pair_lists
from LungDeepRegLib.mrml.volumes import NodeError
from slicer.i18n import tr as _


class Observers:
    """Finds observers' lists and makes new ones.

    Attributes:
        fixed: The fixed volume node, or None.
        moving: The moving volume node, or None.
        current: The name of the one who works now.
    """

    def __init__(self) -> None:
        self.fixed: Any = None
        self.moving: Any = None
        self.current = ""

    def names(self) -> list[str]:
        """All that have lists, in the scene's order."""
        return list(dict.fromkeys(lists.observer for lists in pair_lists(slicer.mrmlScene, self.fixed, self.moving)))

    def find(self, name: str) -> PairLists | None:
        """An observer's lists, or None without any."""
        found = pair_lists(slicer.mrmlScene, self.fixed, self.moving)
        return next((lists for lists in found if lists.observer == name), None)

    def lists(self, name: str) -> PairLists:
        """An observer's lists; new ones if there are none.

        Raises:
            NodeError: No images, or no name.
        """
        if self.fixed is None or self.moving is None:
            raise NodeError(_("Choose a fixed and a moving volume first."))
        if not name:
            raise NodeError(_("Enter the observer's name first."))
        return self.find(name) or add_pair_lists(name, self.fixed, self.moving)
