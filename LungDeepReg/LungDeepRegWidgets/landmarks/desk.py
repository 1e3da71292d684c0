"""What the panel does once there are two images: an observer's pairs, their table and figures, and the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, State
from LungDeepRegLib.landmarks import shortened
from LungDeepRegLib.mrml import ResultNodes
from LungDeepRegLib.mrml.changes import remove_node
from LungDeepRegLib.mrml.landmark_pairs import PairLists, lonely_labels
from slicer.i18n import tr as _

from ..presets.preset import PresetSwitch, isThere
from .book import PairBook
from .figures import Figures
from .fileDesk import FileDesk
from .observers import Observers
from .pairActions import PairActions
from .pairTable import PairTable
from .placing import Placing, Told
from .reviewViews import ReviewViews
from .shortcuts import Shortcuts

Action = Callable[[], None]


class Desk:
    """Connects the widgets with the pairs of the scene.

    Args:
        ui: The panel's widgets.
        switch: Lends the views.
        runner: Runs the worker's tasks.
        onChange: Called whenever the pairs, or what judges them, may have changed.
    """

    def __init__(self, ui: Any, switch: PresetSwitch, runner: Any, onChange: Action) -> None:
        self.ui, self._onChange, self._message, self._updating = ui, onChange, "", False
        self._made: PairLists | None = None
        self.observers, self.views = Observers(), ReviewViews(switch)
        self.book = PairBook(self.views.seen, self.update, self._onAssisted, self._onPointed)
        self.table = PairTable(ui.pairsTable, self.onSelected, lambda label, new: self.actions.rename(label, new))
        self.figures = Figures(ui, self.views, self.book, self.observers)
        self.actions = PairActions(self.book, self.table, self.jump, self.say)
        logic = slicer.app.applicationLogic()
        self.placing = Placing(
            ui, logic, runner, self.views, self.book, Told(self.say, self._onPlaced, self.tidy), self.openLists
        )
        self.files = FileDesk(ui, self.book, self.observers, self.refresh, self.say)
        self._connect()
        switch.addListener(self.onViews)

    def _connect(self) -> None:
        """Buttons, and the keys that do the same."""
        ui, actions = self.ui, self.actions
        buttons: dict[str, tuple[Any, Action]] = {
            "P": (ui.placeButton, self.onPlace),
            "C": (ui.candidateButton, self.placing.nextCandidate),
            "N": (ui.nextButton, actions.next),
            "A": (ui.acceptButton, lambda: actions.judge(State.ACCEPTED)),
            "D": (ui.doubtfulButton, lambda: actions.judge(State.DOUBTFUL)),
            "L": (ui.lockButton, actions.lock),
            "Del": (ui.deleteButton, actions.remove),
            "U": (ui.undoButton, actions.undo),
        }
        for button, action in buttons.values():
            button.connect("clicked()", action)
        # By the buttons: what is disabled does nothing.
        keys = {key: lambda button=button: button.click() for key, (button, _action) in buttons.items()}
        self._shortcuts = Shortcuts(ui.pairsTable, {**keys, "Esc": self.placing.cancel})
        ui.blindButton.connect("clicked(bool)", lambda checked: self.onReview(checked, compared=False))
        ui.comparedButton.connect("clicked(bool)", lambda checked: self.onReview(checked, compared=True))
        ui.doubtfulCheckBox.connect("toggled(bool)", self.update)
        ui.otherSelector.connect("currentIndexChanged(int)", self.update)

    @property
    def result(self) -> ResultNodes:
        """The images, and what the registration made of them."""
        return self.views.nodes

    def setImages(self, fixed: Any, moving: Any, nodes: Any) -> None:
        """Work on two images.

        Args:
            fixed: The fixed volume node, or None.
            moving: The moving one, or None.
            nodes: Their result, ``mrml.ResultNodes``, or None; one of other images doesn't count.
        """
        if (fixed, moving) != (self.observers.fixed, self.observers.moving):
            self.placing.cancel()
        own = nodes is not None and (nodes.fixed, nodes.moving) == (fixed, moving)
        self.observers.fixed, self.observers.moving = fixed, moving
        self.views.setNodes(nodes if own else ResultNodes(fixed=fixed, moving=moving))
        self.refresh()

    def setObserver(self, name: str) -> None:
        """Work on another observer's pairs."""
        if name != self.observers.current:
            self.placing.cancel()
            self.observers.current = name
            self.refresh()

    def refresh(self) -> None:
        """Follow the lists that the current observer has by now."""
        lists = self.observers.find(self.observers.current)
        before = self.book.lists
        if lists is None or before is None or lists.both != before.both:
            self.book.open(lists)
            self.views.setLists(lists)
        self._offerObservers()
        self.update()

    def openLists(self) -> PairLists:
        """The current observer's lists; new ones if there are none."""
        before = self.observers.find(self.observers.current)
        lists = self.observers.lists(self.observers.current)
        self._made = lists if before is None else None
        self.refresh()
        return lists

    def tidy(self) -> None:
        """Take the lists away that were made for a pair which then wasn't placed."""
        made, self._made = self._made, None
        if made is not None and not any(node.GetNumberOfControlPoints() for node in made.both):
            self.forget(made.fixed)
            for node in made.both:
                remove_node(node)
            self.refresh()

    def forget(self, node: Any) -> None:
        """Let go of a node that is about to be removed."""
        lists = self.book.lists
        if lists is not None and node in lists.both:
            self.placing.cancel()
            self.book.open(None)
            self.views.lists = None

    def close(self) -> None:
        """Let go of everything: the scene closes."""
        self.placing.cancel()
        self.book.open(None)
        self.views.lists = None
        self.setImages(None, None, None)

    def onPlace(self) -> None:
        """Place pairs, or stop."""
        if self.placing.active:
            self.placing.cancel()
        else:
            self.placing.start()

    def onReview(self, checked: bool, *, compared: bool) -> None:
        """Show the review, blind or with the registration's result, or give the views back."""
        if not checked:
            self.views.leave()
            return
        with slicer.util.tryWithErrorDisplay(_("The images can't be shown this way."), waitCursor=True):
            self.views.show(compared=compared)
        if self.actions.current is not None:
            self.jump(self.actions.current)

    def onSelected(self, label: str) -> None:
        """A row was selected."""
        pair = self.book.pair(label)
        if pair is not None:
            self.jump(pair)

    def onViews(self) -> None:
        """Something else is shown: placing goes on blindly or not at all."""
        if self.placing.gesture.active and not self.views.blind:
            self.placing.cancel()
        self.update()

    def jump(self, pair: LandmarkPair) -> None:
        """Bring the views to a pair."""
        self.placing.cancel()
        with slicer.util.tryWithErrorDisplay(_("The images can't be shown this way."), waitCursor=False):
            self.views.jump(pair, self.figures.phi()[0])
        self.say("")

    def say(self, text: str) -> None:
        """Show what is to be done now, or what was done."""
        self._message = text
        self.update()

    def update(self, *_event: Any) -> None:
        """Bring the widgets into step with the pairs."""
        if self._updating:
            return
        self._updating = True
        rows, why = self.figures.shownRows()
        self.table.show(rows)
        doubts = [self.book.error, why, self.figures.show(rows), self._lonely()]
        self.ui.statusLabel.text = "\n".join(filter(None, [self._message or self._summary(), *doubts]))
        self._showButtons()
        self._updating = False
        if not self.placing.gesture.active:  # no light of errors follows what is being placed blindly
            self._onChange()

    def _showButtons(self) -> None:
        ui, views, current = self.ui, self.views, self.actions.current
        there = isThere(self.result.fixed) and isThere(self.result.moving)
        ui.placeButton.text = _("Stop placing (Esc)") if self.placing.active else _("Place pair (P)")
        for button in (ui.placeButton, ui.candidateButton, ui.blindButton, ui.importButton):
            button.enabled = there
        for button in (ui.acceptButton, ui.doubtfulButton, ui.lockButton, ui.deleteButton):
            button.enabled = current is not None
        ui.lockButton.text = _("Unlock (L)") if current is not None and current.locked else _("Lock (L)")
        ui.nextButton.enabled = ui.exportButton.enabled = bool(self.book.pairs)
        ui.undoButton.enabled = self.book.canUndo
        ui.assistedCheckBox.enabled = isThere(self.result.transform)
        ui.comparedButton.enabled = there and views.comparable
        ui.blindButton.checked, ui.comparedButton.checked = views.blind, views.compared
        keys = set("PCNADLU") | {"Del"} if there else set()
        self._shortcuts.enable(keys | ({"Esc"} if self.placing.active else set()))

    def _offerObservers(self) -> None:
        """The other observers in the lists of names."""
        names = self.observers.names()
        self._fill(self.ui.observerSelector, list(dict.fromkeys([*names, self.observers.current])))
        self.ui.observerSelector.setCurrentText(self.observers.current)
        others = [name for name in names if name != self.observers.current]
        chosen = self.ui.otherSelector.currentText
        self._fill(self.ui.otherSelector, [_("nobody"), *others])
        self.ui.otherSelector.setCurrentIndex(others.index(chosen) + 1 if chosen in others else 0)

    def _fill(self, box: Any, texts: list[str]) -> None:
        if [box.itemText(number) for number in range(box.count)] != texts:
            before = box.blockSignals(True)
            box.clear()
            box.addItems(texts)
            box.blockSignals(before)

    def _summary(self) -> str:
        pairs = self.book.pairs
        if self.result.fixed is None or self.result.moving is None:
            return _("Choose a fixed and a moving volume above.")
        waiting = sum(pair.state is State.UNREVIEWED for pair in pairs)
        return _("{count} pairs, {waiting} of them not reviewed yet.").format(count=len(pairs), waiting=waiting)

    def _lonely(self) -> str:
        labels = lonely_labels(self.book.lists) if self.book.lists is not None else []
        if not labels:
            return ""
        return _("Moving points without a fixed one: {labels}.").format(labels=shortened(labels))

    def _onPlaced(self, label: str) -> None:
        self.table.select(label)
        self.say("")

    def _onPointed(self, label: str) -> None:
        """A landmark was clicked in a view, which Slicer itself brings the other views to."""
        self.table.select(label)
        self.update()

    def _onAssisted(self, labels: list[str]) -> None:
        text = _(
            "Pair {labels} was moved while the registration's result was seen: it is assisted now and doesn't count in"
            " the statistics."
        )
        self.say(text.format(labels=shortened(labels)))
