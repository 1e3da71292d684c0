"""The views of the review: blind or with the registration's result, and their way to a pair."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.mrml import ResultNodes
from LungDeepRegLib.mrml.landmark_pairs import PairLists

from ..presets.displayState import nodesOf
from ..presets.landmarkReview import LandmarkReview
from ..presets.preset import PresetSwitch, isThere
from .blindness import registrationShown


class ReviewViews:
    """Lends the views for the review by the module's one switch.

    Args:
        switch: Shows one preset at a time.
    """

    def __init__(self, switch: PresetSwitch) -> None:
        self._switch = switch
        self.nodes = ResultNodes()
        self.lists: PairLists | None = None

    @property
    def preset(self) -> LandmarkReview | None:
        """The review, while it is shown."""
        return self._switch.active if isinstance(self._switch.active, LandmarkReview) else None

    @property
    def blind(self) -> bool:
        """Whether the blind review is shown."""
        return self.preset is not None and self.preset.blind

    @property
    def compared(self) -> bool:
        """Whether the review is shown with the registration's result."""
        return self.preset is not None and not self.preset.blind

    @property
    def comparable(self) -> bool:
        """Whether there is a result to be shown."""
        return isThere(self.nodes.transform) or isThere(self.nodes.warped)

    def seen(self) -> bool:
        """Whether anything of the registration is seen at this moment: in the views, or its errors in the table."""
        return self.errorsShown or registrationShown(slicer.mrmlScene, self._switch.active)

    @property
    def errorsShown(self) -> bool:
        """Whether the table shows the registration's errors: only the blind review hides them."""
        return not self.blind and isThere(self.nodes.transform)

    def show(self, *, compared: bool) -> None:
        """Show the review, unless it is shown so."""
        if self.preset is None or self.preset.compared != compared:
            self._switch.choose(lambda stage, nodes: LandmarkReview(stage, nodes, self.lists, compared), self.nodes)

    def setNodes(self, nodes: ResultNodes) -> None:
        """Review other images, or another result of them: what is shown of the last one is left."""
        otherImages = (nodes.fixed, nodes.moving) != (self.nodes.fixed, self.nodes.moving)
        self.nodes = nodes
        if otherImages or self.compared:
            self.leave()

    def setLists(self, lists: PairLists | None) -> None:
        """Show another observer's points."""
        self.lists = lists
        if self.compared:  # its arrows begin at the points
            self.leave()
            self.show(compared=True)
        elif self.preset is not None:
            self.preset.showLists(lists)

    def leave(self) -> None:
        """Give the views back, if the review has them."""
        if self.preset is not None:
            self._switch.leave()

    def jump(self, pair: LandmarkPair, phi: Callable[[np.ndarray], np.ndarray] | None) -> None:
        """Center the views on a pair: those of the preset that is shown, or of the review, with the result if any."""
        if self._switch.active is None:
            self.show(compared=self.comparable)
        fixed = np.array(pair.fixed_ras)
        if self.preset is None:
            for sliceNode in nodesOf(slicer.mrmlScene, "vtkMRMLSliceNode"):
                if sliceNode.IsMappedInLayout():
                    sliceNode.JumpSliceByCentering(*pair.fixed_ras)
            return
        registered = phi(fixed[None])[0] if phi is not None and self.compared else None
        self.preset.jump(fixed, None if pair.moving_ras is None else np.array(pair.moving_ras), registered)
