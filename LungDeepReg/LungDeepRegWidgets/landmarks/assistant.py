"""What the worker helps with: places to begin with, and proposals for the moving point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from LungDeepRegLib.mrml import field_from_node, volume_from_node
from LungDeepRegLib.mrml.landmark_candidates import set_candidates

from ..busy import Busy, tellBusy
from ..presets.preset import isThere
from ..pytorch import TorchUnavailable, ensureTorch

COUNT = 40
NEAR_MM = 10.0
"""A candidate is done where a pair is as near as this."""


class Assistant:
    """Asks the worker, one thing at a time.

    Args:
        runner: Runs the worker's tasks.
        onBusy: Told what it begins to do.
        onFailed: Given a message for people.
    """

    def __init__(self, runner: Any, onBusy: Callable[[str], None], onFailed: Callable[[str], None]) -> None:
        self._runner, self._onBusy, self._onFailed = runner, onBusy, onFailed
        self.busy = False

    def find(self, nodes: Any, onDone: Callable[[Any], None]) -> None:
        """Look for vessel branchings in the fixed image; ``onDone`` is given the list of them."""

        def request() -> dict[str, Any]:
            lungs = [volume_from_node(nodes.lungs, copy=False)] if isThere(nodes.lungs) else None
            return {"volume": volume_from_node(nodes.fixed, copy=False), "lungs": lungs, "count": COUNT}

        def done(answer: dict[str, Any]) -> None:
            onDone(set_candidates(nodes.fixed, np.asarray(answer["points"], dtype=float).reshape(-1, 3)))

        self._run("candidates", request, done)

    def propose(self, nodes: Any, point: tuple[float, ...], onDone: Callable[[tuple[float, ...], float], None]) -> None:
        """Ask where a point of the fixed image is in the moving one.

        ``onDone`` is given the place, RAS mm, and how alike both places look, 1 at most.
        """

        def request() -> dict[str, Any]:
            fixed, moving = (volume_from_node(node, copy=False) for node in (nodes.fixed, nodes.moving))
            field = field_from_node(nodes.transform, fixed.lattice)
            return {"fixed": fixed, "moving": moving, "field": field, "points": [list(point)]}

        def done(answer: dict[str, Any]) -> None:
            onDone(tuple(map(float, answer["points"][0])), float(answer["scores"][0]))

        self._run("propose", request, done)

    def cancel(self) -> bool:
        """Stop what is running; whether there was anything."""
        was, self.busy = self.busy, False
        if was:
            self._runner.cancel()
        return was

    def _run(self, name: str, request: Callable[[], dict[str, Any]], onDone: Callable[[Any], None]) -> None:
        def done(answer: Any) -> None:
            self.busy = False
            onDone(answer)

        def failed(message: str) -> None:
            self.busy = False
            self._onFailed(message)

        try:
            ensureTorch()
            self._runner.run(name, request(), onDone=done, onFailed=failed)
        except Busy as busy:
            self._onFailed("")
            tellBusy(busy)
            return
        except (TorchUnavailable, RuntimeError, ValueError) as error:
            self._onFailed(str(error))
            return
        self.busy = True
        self._onBusy(name)


def nextCandidate(candidates: Any, done: list[tuple[float, ...]], after: int) -> int | None:
    """The index of the next candidate, behind another one and from the beginning again, that no pair is near to."""
    count = candidates.GetNumberOfControlPoints()
    for step in range(1, count + 1):
        index = (after + step) % count
        place = np.array(candidates.GetNthControlPointPositionWorld(index))
        if all(np.linalg.norm(place - point) > NEAR_MM for point in done):
            return index
    return None
