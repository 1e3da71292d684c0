"""Import and export, as the panel offers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import slicer
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.landmarks import shortened
from LungDeepRegLib.mrml import volume_from_node
from LungDeepRegLib.mrml.landmark_pairs import check_unlocked, pairs_of, set_pairs
from LungDeepRegLib.mrml.volumes import NodeError
from slicer.i18n import tr as _

from .book import PairBook
from .observers import Observers
from .pairFiles import FORMATS, isBare, outside, partnerOf, readFiles, targets, writeFiles


class FileDesk:
    """Reads pairs into the scene, and writes those of the current observer.

    Args:
        ui: The panel's widgets.
        book: The current observer's pairs.
        observers: Everybody's lists.
        onTaken: Called when pairs came into the scene.
        say: Shows what was done.
    """

    def __init__(
        self, ui: Any, book: PairBook, observers: Observers, onTaken: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self.ui, self.book, self.observers, self._onTaken, self._say = ui, book, observers, onTaken, say
        ui.importButton.connect("clicked()", self.onImport)
        ui.exportButton.connect("clicked()", self.onExport)
        ui.fixedFileEdit.connect("currentPathChanged(QString)", self.onFixedFile)

    def onFixedFile(self, path: str) -> None:
        """The moving points' file is found by its name."""
        partner = partnerOf(path)
        if partner:
            self.ui.movingFileEdit.currentPath = partner

    def onImport(self) -> None:
        """Add a file's pairs to those of their observers; all of them or none."""
        try:
            lattices = self._lattices()
            fixedFile, movingFile = self.ui.fixedFileEdit.currentPath, self.ui.movingFileEdit.currentPath
            pairs = readFiles(fixedFile, movingFile, lattices, self.observers.current)
            warning = outside(pairs, lattices)
            self._take(pairs)
        except (ValueError, OSError) as error:
            self._fail(str(error))
            return
        texts = [_("{count} pairs imported.").format(count=len(pairs))]
        if isBare(fixedFile):
            texts.append(_("Their files don't tell how they were placed: they count as placed blindly."))
        self._say(" ".join(filter(None, [*texts, warning])))

    def onExport(self) -> None:
        """Write the current observer's pairs, or everybody's in a table; replaces files only after a question."""
        kind, folder = FORMATS[self.ui.formatSelector.currentIndex], self.ui.folderEdit.currentPath
        if not folder:
            self._fail(_("Choose a folder to write to first."))
            return
        paths = targets(folder, self.ui.nameEdit.text.strip() or "landmarks", kind)
        there = [path.name for path in paths if path.exists()]
        question = _("Replace {files}?").format(files=", ".join(there))
        if there and not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("LungDeepReg")):
            return
        pairs = self._everybodys() if kind == "table" else self.book.pairs
        try:
            writeFiles(paths, kind, pairs, self._lattices())
        except (ValueError, OSError) as error:
            self._fail(str(error))
            return
        texts = [_("Written: {files}.").format(files=", ".join(path.name for path in paths))]
        notBlind = [pair.label for pair in pairs if not pair.blind]
        if isBare(paths[0]) and notBlind:
            lost = _("They don't tell that {labels} are not placed blindly; other formats do.")
            texts.append(lost.format(labels=shortened(notBlind)))
        self._say(" ".join(texts))

    def _everybodys(self) -> list[LandmarkPair]:
        """The pairs of all observers."""
        everybody = [self.observers.find(name) for name in self.observers.names()]
        return [pair for lists in everybody if lists is not None for pair in pairs_of(lists)]

    def _take(self, pairs: list[LandmarkPair]) -> None:
        """Put pairs into their observers' lists."""
        current = self.observers.current
        named = [pair if pair.observer else replace(pair, observer=current) for pair in pairs]
        groups = {name: [pair for pair in named if pair.observer == name] for name in {p.observer for p in named}}
        known = {name: self._known(name, group) for name, group in groups.items()}
        for name, group in groups.items():
            lists = self.observers.lists(name)
            if name == current:
                if self.book.lists is None:
                    self.book.open(lists)
                self.book.write([*known[name], *group])
            else:
                set_pairs(lists, [*known[name], *group])
        self._onTaken()

    def _known(self, name: str, group: list[LandmarkPair]) -> list[LandmarkPair]:
        """The pairs that an observer has already; refuses further ones of the same labels, and locked lists."""
        lists = self.observers.find(name)
        if lists is None:
            return []
        check_unlocked(lists)
        known = pairs_of(lists)
        both = [pair.label for pair in group if pair.label in {own.label for own in known}]
        if both:
            msg = _("{list}: found the labels {labels} already, expected new ones. Nothing was imported.")
            raise NodeError(msg.format(list=lists.fixed.GetName(), labels=shortened(both)))
        return known

    def _lattices(self) -> tuple[Any, Any]:
        fixed, moving = (
            volume_from_node(node, copy=False).lattice for node in (self.observers.fixed, self.observers.moving)
        )
        return fixed, moving

    def _fail(self, message: str) -> None:
        self._say(message)
        slicer.util.errorDisplay(message, windowTitle=_("LungDeepReg"))
