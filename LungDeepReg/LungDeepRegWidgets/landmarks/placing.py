"""How pairs come into being: clicks, candidates to begin with, proposals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance
from LungDeepRegLib.landmarks import LandmarkError
from LungDeepRegLib.mrml.landmark_candidates import candidates_of
from LungDeepRegLib.mrml.landmark_pairs import PairLists, check_unlocked
from LungDeepRegLib.mrml.volumes import NodeError
from slicer.i18n import tr as _

from ..presets.preset import isThere
from .assistant import Assistant, nextCandidate
from .book import PairBook
from .gesture import FIXED, MOVING, PARTS, Listener, PairGesture
from .reviewViews import ReviewViews


@dataclass(frozen=True)
class Told:
    """Who is told how placing goes.

    Attributes:
        say: Shows what is to be done now, or what was wrong.
        placed: Given the label of a new pair.
        canceled: No pair was made.
    """

    say: Callable[[str], None]
    placed: Callable[[str], None]
    canceled: Callable[[], None]


class Placing:
    """Places pairs one after the other, until the user has enough.

    Args:
        ui: The panel's widgets.
        logic: Slicer's application logic.
        runner: Runs the worker's tasks.
        views: The review's views.
        book: The observer's pairs.
        told: Told how it goes.
        lists: Gives the observer's lists, new ones if there are none.
    """

    def __init__(
        self, ui: Any, logic: Any, runner: Any, views: ReviewViews, book: PairBook,
        told: Told, lists: Callable[[], PairLists],
    ) -> None:  # fmt: skip
        self.ui, self.views, self.book = ui, views, book
        self._told, self._lists = told, lists
        self.gesture = PairGesture(logic, Listener(self._refused, self._placed, self._done, self._canceled))
        self.assistant = Assistant(runner, self._onBusy, self._failed)
        self._fromCandidates = False
        self._candidate = -1
        self._remark = ""

    @property
    def active(self) -> bool:
        """Whether a pair is being placed or something is being computed for it."""
        return self.gesture.active or self.assistant.busy

    def start(self) -> None:
        """Place a pair: shows the blind review, and waits for the first click."""
        self._fromCandidates = False
        self._begin()

    def nextCandidate(self) -> None:
        """Go to the next place that is worth a pair; they are looked for the first time."""
        self.cancel()
        candidates = candidates_of(self.views.nodes.fixed)
        if candidates is None:
            self.assistant.find(self.views.nodes, lambda node: self._goToNext(node))
        else:
            self._goToNext(candidates)

    def cancel(self) -> None:
        """Stop placing; the pair that is being placed is given up."""
        self.gesture.cancel()
        if self.assistant.cancel():
            self._canceled()

    def task(self) -> str:
        """What the user is to do now; empty if nothing."""
        label = self.book.freeLabel()
        texts = {
            FIXED: _("Pair {label}: click the landmark in the fixed volume, above. Esc ends."),
            MOVING: _("Pair {label}: click the same place in the moving volume, below. Esc cancels."),
        }
        if not self.gesture.active:
            return ""
        return f"{self._remark} {texts[self.gesture.part].format(label=label)}".strip()

    def _goToNext(self, candidates: Any) -> None:
        done = [pair.fixed_ras for pair in self.book.pairs]
        index = nextCandidate(candidates, done, self._candidate)
        if index is None:
            self._told.say(_("There is a pair near every candidate. Place further ones where you like."))
            return
        self._candidate, self._fromCandidates = index, True
        if self._begin():
            place = np.array(candidates.GetNthControlPointPositionWorld(index))
            self.views.preset.jump(place)
            self.views.preset.lookNear(place)

    def _begin(self) -> bool:
        """Wait for the first click; False if there can't be any."""
        self.gesture.cancel()
        self.gesture.remember()
        try:
            lists = self._lists()
            check_unlocked(lists)
            self.views.show(compared=False)
        except (NodeError, ValueError) as error:
            self._failed(str(error))
            return False
        self._remark = ""
        self.book.pause()
        assisted = self.ui.assistedCheckBox.checked and isThere(self.views.nodes.transform)
        self.gesture.start(lists, (FIXED,) if assisted else PARTS)
        self._told.say(self.task())
        return True

    def _refused(self, part: str, point: tuple[float, ...]) -> str:
        inside = self.views.preset is not None and self.views.preset.imageContains(part, np.array(point))
        images = {FIXED: _("fixed"), MOVING: _("moving")}
        text = _("That is outside the {image} volume.")
        self._remark = "" if inside else text.format(image=images[part])
        self._told.say(self.task())
        return self._remark

    def _placed(self, part: str, point: tuple[float, ...]) -> None:
        """Show the point in the other views of its image, too; after the first click also where to look next."""
        preset = self.views.preset
        if preset is None:
            return
        preset.goTo(part, np.array(point))
        preset.mark(part, np.array(point))
        if part == FIXED:
            preset.mark(MOVING, None)
            if self.gesture.active:
                preset.lookNear(np.array(point))
        self._told.say(self.task())

    def _done(self, points: dict[str, tuple[float, ...]]) -> None:
        self.book.resume()
        if MOVING in points:
            how = Provenance.ASSISTED if self.views.seen() else Provenance.MANUAL
            self._add(points[FIXED], points[MOVING], how)
            return

        def proposed(moving: tuple[float, ...], score: float) -> None:
            self._add(points[FIXED], moving, Provenance.ASSISTED)
            text = _("Proposed, with a likeness of {score:.2f}: drag the point where it is wrong.")
            self._remark = text.format(score=score)
            self._told.say(self.task() or self._remark)

        self.assistant.propose(self.views.nodes, points[FIXED], proposed)

    def _add(self, fixed: tuple[float, ...], moving: tuple[float, ...], provenance: Provenance) -> None:
        label = self.book.freeLabel()
        pair = LandmarkPair(label, fixed, moving, self.book.lists.observer, moving_provenance=provenance)
        try:
            self.book.add(pair)
        except (NodeError, LandmarkError) as error:
            self._told.say(str(error))
            return
        if self.views.preset is not None and provenance is Provenance.ASSISTED:
            self.views.preset.goTo(MOVING, np.array(moving))
            self.views.preset.mark(MOVING, np.array(moving))
        self._told.placed(label)
        if not self.ui.goOnCheckBox.checked:
            return
        if self._fromCandidates:
            self.nextCandidate()
        else:
            self._begin()

    def _canceled(self) -> None:
        self.book.resume()
        if self.views.preset is not None:
            for part in PARTS:
                self.views.preset.mark(part, None)
        self._told.canceled()
        self._told.say("")

    def _failed(self, message: str) -> None:
        self._canceled()
        self._told.say(message)

    def _onBusy(self, what: str) -> None:
        texts = {
            "candidates": _("Looking for vessel branchings in the fixed volume..."),
            "propose": _("Looking for the same place in the moving volume..."),
        }
        self._told.say(texts[what])
