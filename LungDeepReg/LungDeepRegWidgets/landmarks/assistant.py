"""What the worker helps with: places to begin with, and proposals for the moving point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
from LungDeepRegLib.mrml import field_from_node, volume_from_node
from LungDeepRegLib.mrml.landmark_pairs import IMAGE_ROLE, LIST_CLASS
from LungDeepRegLib.mrml.outputs import ROLE_PREFIX

from ..presets.preset import isThere
from ..pytorch import TorchUnavailable, ensureTorch

CANDIDATES_ATTRIBUTE = f"{ROLE_PREFIX}candidates"
COUNT = 40
NEAR_MM = 10.0
"""A candidate is done where a pair is as near as this."""
GRAY = (0.7, 0.7, 0.7)


class Assistant:
    """Asks the worker, one thing at a time.

    Args:
        runner: Runs the worker's tasks.
        onBusy: Called when it begins and ends; given what is being done, or empty.
        onFailed: Given a message for people.
    """

    def __init__(self, runner: Any, onBusy: Callable[[str], None], onFailed: Callable[[str], None]) -> None:
        self._runner, self._onBusy, self._onFailed = runner, onBusy, onFailed
        self.busy = False

    def find(self, nodes: Any, onDone: Callable[[Any], None]) -> None:
        """Look for vessel branchings in the fixed image; ``onDone`` is given the list of them."""
        fixed = nodes.fixed
        lungs = [volume_from_node(nodes.lungs, copy=False)] if isThere(nodes.lungs) else None

        def done(answer: dict[str, Any]) -> None:
            onDone(candidateList(fixed, np.asarray(answer["points"], dtype=float).reshape(-1, 3)))

        self._run("candidates", {"volume": volume_from_node(fixed, copy=False), "lungs": lungs, "count": COUNT}, done)

    def propose(self, nodes: Any, point: tuple[float, ...], onDone: Callable[[tuple[float, ...]], None]) -> None:
        """Ask where a point of the fixed image is in the moving one; ``onDone`` is given the place, RAS mm."""
        fixed, moving = (volume_from_node(node, copy=False) for node in (nodes.fixed, nodes.moving))
        field = field_from_node(nodes.transform, fixed.lattice)
        request = {"fixed": fixed, "moving": moving, "field": field, "points": [list(point)]}
        self._run("propose", request, lambda answer: onDone(tuple(map(float, answer["points"][0]))))

    def cancel(self) -> None:
        """Stop what is running."""
        if self.busy:
            self._end()
            self._runner.cancel()

    def _run(self, name: str, request: dict[str, Any], onDone: Callable[[Any], None]) -> None:
        def done(answer: Any) -> None:
            self._end()
            onDone(answer)

        def failed(message: str) -> None:
            self._end()
            self._onFailed(message)

        try:
            ensureTorch()
            self._runner.run(name, request, onDone=done, onFailed=failed)
        except (TorchUnavailable, RuntimeError) as error:
            self._onFailed(str(error))
            return
        self.busy = True
        self._onBusy(name)

    def _end(self) -> None:
        self.busy = False
        self._onBusy("")


def foundCandidates(fixed: Any) -> Any:
    """The list of an image's candidates, or None."""
    nodes = slicer.util.getNodesByClass(LIST_CLASS)
    found = (node for node in nodes if node.GetAttribute(CANDIDATES_ATTRIBUTE) is not None)
    return next((node for node in found if node.GetNodeReference(IMAGE_ROLE) is fixed), None)


def candidateList(fixed: Any, points: np.ndarray) -> Any:
    """A new list of automatic points ``(N, 3)`` of an image, in place of the one that it had."""
    from LungDeepRegLib.mrml.changes import all_or_nothing, remove_node

    before = foundCandidates(fixed)
    with all_or_nothing(fixed.GetScene()) as changes:
        node = changes.new_node(LIST_CLASS, f"Candidates {fixed.GetName()}")
        changes.show(node)
        changes.put_beside(node, fixed)
        changes.mark(node, CANDIDATES_ATTRIBUTE, "automatic")
        changes.set_reference(node, IMAGE_ROLE, fixed)
        for number, point in enumerate(points.tolist(), start=1):
            index = node.AddControlPointWorld(*point, f"c{number}")
            node.SetNthControlPointDescription(index, "provenance=automatic")
        node.SetLocked(True)
        node.GetDisplayNode().SetSelectedColor(*GRAY)
        node.GetDisplayNode().SetPointLabelsVisibility(False)
        node.GetDisplayNode().SetPropertiesLabelVisibility(False)
    if before is not None:
        remove_node(before)
    return node


def nextCandidate(candidates: Any, done: list[tuple[float, ...]], after: int) -> int | None:
    """The index of the next candidate, behind another one and from the beginning again, that no pair is near to."""
    count = candidates.GetNumberOfControlPoints()
    for step in range(1, count + 1):
        index = (after + step) % count
        place = np.array(candidates.GetNthControlPointPositionWorld(index))
        if all(np.linalg.norm(place - point) > NEAR_MM for point in done):
            return index
    return None
