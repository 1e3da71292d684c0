"""Fixed and moving volume as two phases of a 4D image."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _


class PhaseInput:
    """Lists the phases of a sequence browser and makes volumes of two of them.

    Args:
        ui: The widgets of the register panel.
        onChosen: Given the fixed and the moving volume node that were made.
    """

    def __init__(self, ui: Any, onChosen: Callable[[Any, Any], None]) -> None:
        self._ui, self._onChosen = ui, onChosen
        ui.browserSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._list)
        ui.usePhasesButton.connect("clicked()", self._use)
        self._list(None)

    def _list(self, browser: Any) -> None:
        """Offer the browser's phases, the first as fixed and the middle one as moving."""
        names: list[str] = []
        if browser is not None:
            from LungDeepRegLib import mrml

            with slicer.util.tryWithErrorDisplay(_("The phases can't be listed."), waitCursor=True):
                names = mrml.phases(browser) if mrml.image_sequences(browser) else []
        for selector, first in ((self._ui.fixedPhaseSelector, 0), (self._ui.movingPhaseSelector, len(names) // 2)):
            selector.clear()
            selector.addItems(names)
            selector.setCurrentIndex(first if names else -1)
        self._ui.usePhasesButton.enabled = len(names) > 1

    def _use(self) -> None:
        from LungDeepRegLib import mrml

        browser = self._ui.browserSelector.currentNode()
        fixed, moving = self._ui.fixedPhaseSelector.currentIndex, self._ui.movingPhaseSelector.currentIndex
        with slicer.util.tryWithErrorDisplay(_("The phases can't be taken from the sequence."), waitCursor=True):
            self._onChosen(*mrml.phase_nodes(browser, mrml.image_sequences(browser)[0], fixed, moving))
