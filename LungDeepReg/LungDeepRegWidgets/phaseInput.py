"""Fixed and moving volume as two phases of a 4D image."""

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _


class PhaseInput:
    """Lists the phases of a sequence browser and makes volumes of two of them.

    Args:
        ui: The widgets of the register panel.
        onChosen: Given the fixed and the moving volume node that were made.
    """

    def __init__(self, ui: Any, onChosen: Callable[[Any, Any], None]) -> None:
        self._ui, self._onChosen = ui, onChosen
        self._browser: Any = None
        self._observer: int | None = None
        self._offered: list[str] | None = None
        ui.browserSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onBrowser)
        ui.usePhasesButton.connect("clicked()", self._use)
        self._list()

    def _onBrowser(self, browser: Any) -> None:
        """Follow another browser, which may get its sequence later."""
        if self._browser is not None:
            self._browser.RemoveObserver(self._observer)
        self._browser = browser
        if browser is not None:
            self._observer = browser.AddObserver(vtk.vtkCommand.ModifiedEvent, self._list)
        self._list()

    def _list(self, *_event: Any) -> None:
        """Offer the browser's phases, the first as fixed and the middle one as moving, if they aren't offered yet."""
        names = phasesOf(self._browser)
        if names == self._offered:
            return
        self._offered = names
        for selector, first in ((self._ui.fixedPhaseSelector, 0), (self._ui.movingPhaseSelector, len(names) // 2)):
            selector.clear()
            selector.addItems(names)
            selector.setCurrentIndex(first if names else -1)
        self._ui.usePhasesButton.enabled = len(names) > 1

    def _use(self) -> None:
        from LungDeepRegLib import mrml

        fixed, moving = self._ui.fixedPhaseSelector.currentIndex, self._ui.movingPhaseSelector.currentIndex
        with slicer.util.tryWithErrorDisplay(_("The phases can't be taken from the sequence."), waitCursor=True):
            self._onChosen(*mrml.phase_nodes(self._browser, mrml.image_sequences(self._browser)[0], fixed, moving))


def phasesOf(browser: Any) -> list[str]:
    """The phases of a browser that goes through images; none of any other."""
    master = browser.GetMasterSequenceNode() if browser is not None else None
    if master is None or not master.GetNumberOfDataNodes():
        return []
    from LungDeepRegLib import mrml

    return mrml.phases(browser) if mrml.image_sequences(browser) else []
