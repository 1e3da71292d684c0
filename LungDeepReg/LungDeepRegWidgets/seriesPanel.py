"""The panel of 4D images: all phases registered to one of them in one run, and motion curves of landmarks."""

from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from .busy import Busy, tellBusy
from .maskInput import MaskInput
from .panel import Panel
from .pytorch import TorchUnavailable, ensureTorch
from .registerPanel import STAGE_TEXTS
from .seriesChoice import SeriesChoice
from .seriesRun import SeriesRun


class SeriesPanel(Panel):
    """Lets the user choose a 4D image and its reference phase, and registers all other phases to that.

    Args:
        runner: Runs the worker's tasks.
        uiPath: The panel's .ui file.
    """

    def __init__(self, runner: Any, uiPath: str) -> None:
        self._runner = runner
        self._choice: SeriesChoice | None = None
        self._run: SeriesRun | None = None
        self._failures: dict[str, str] = {}
        self._observers: list[tuple[Any, int]] = []
        self._browser: Any = None
        self._shown: Any = None
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui.phasesTable.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.Stretch)
        self.ui.phasesTable.verticalHeader().setVisible(False)
        self.ui.browserSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onBrowser)
        self.ui.referenceSelector.connect("currentIndexChanged(int)", self.onReference)
        self.ui.warpedCheckBox.connect("toggled(bool)", self.onWarped)
        self._mask = MaskInput(self.ui.maskSelector, self.ui.segmentSelector, "series")
        self.ui.landmarksSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onLandmarks)
        self.ui.registerSeriesButton.connect("clicked()", self.onRegister)
        self.ui.curvesButton.connect("clicked()", self.onCurves)
        self.ui.saveCurvesButton.connect("clicked()", self.onSaveCurves)
        self._update()

    @property
    def busy(self) -> bool:
        """Whether a series is being registered."""
        return self._run is not None

    def setParameters(self, parameters: Any) -> None:
        """Show another parameter node; None while the scene closes."""
        for node, tag in self._observers:
            node.RemoveObserver(tag)
        self._observers, self._choice = [], None
        for selector, name in self._selectors():
            selector.setCurrentNode(getattr(parameters, name) if parameters is not None else None)
        self._mask.setParameters(parameters)
        self.ui.warpedCheckBox.checked = parameters is None or parameters.seriesWarpedWanted
        if parameters is not None:
            if self._browser is not parameters.seriesBrowser:  # what was said was of another image
                self._browser = parameters.seriesBrowser
                self._failures.clear()
                self.ui.statusLabel.text = self.ui.curvesLabel.text = ""
            self._choice = SeriesChoice(parameters, self._failures)
            for node in filter(None, (parameters, parameters.seriesBrowser)):
                self._observers.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow)))
        self._update()

    def forget(self, node: Any) -> None:
        """Let go of a node that is about to be removed; a run that needs it stops."""
        stopped = self._run is not None and node in (self._run.series.browser, self._run.series.sequence)
        if stopped:
            self.cancel()
        if self._choice is not None:
            parameters = self._choice.parameters
            for name in ("seriesBrowser", "seriesMask", "seriesLandmarks"):
                if getattr(parameters, name) is node:
                    setattr(parameters, name, None)
                    self.setParameters(parameters)
        if stopped:
            text = _("Stopped: {name} was removed. The phases that were registered are kept.")
            self.ui.statusLabel.text = text.format(name=node.GetName())

    def cancel(self) -> None:
        """Stop at once; finished phases are kept."""
        if self._run is not None:
            run, self._run = self._run, None
            run.stop()
            self._update()

    def onBrowser(self, browser: Any) -> None:
        """Another 4D image."""
        if self._choice is not None and self._choice.parameters.seriesBrowser is not browser:
            parameters = self._choice.parameters
            parameters.seriesBrowser, parameters.seriesReference = browser, ""
            self.setParameters(parameters)

    def onReference(self, index: int) -> None:
        """Another phase that stays."""
        if self._choice is not None and index >= 0:
            self._failures.clear()
            self._choice.parameters.seriesReference = self._choice.values[index]

    def onWarped(self, wanted: bool) -> None:
        """With or without deformed volumes."""
        if self._choice is not None:
            self._choice.parameters.seriesWarpedWanted = wanted

    def onLandmarks(self, markups: Any) -> None:
        """Another list of landmarks."""
        if self._choice is not None and self._choice.parameters.seriesLandmarks is not markups:
            self._choice.parameters.seriesLandmarks = markups
            self._update()

    def onRegister(self) -> None:
        """Register what is left, or cancel."""
        if self.busy:
            self.cancel()
            self.ui.statusLabel.text = _("Canceled. The phases that were registered are kept; start again to go on.")
            return
        choice = self._choice
        self._failures.clear()
        try:
            ensureTorch()
            self._run = SeriesRun(
                self._runner, choice.series(), choice.left(), choice.request(), choice.settings(), self
            )
            self._run.start()
        except Busy as busy:
            self._run = None
            tellBusy(busy)
        except (TorchUnavailable, ValueError, RuntimeError) as error:
            self._run = None
            self._showFailure(str(error))
        self._update()

    def onPhaseStarted(self) -> None:
        """Show which phase it is, and what became of the one before."""
        self._listPhases()

    def onPhaseProgress(self, value: str, stage: str, fraction: float) -> None:
        """Show how far the series is; the worker's stages count alike."""
        from LungDeepRegLib.worker.messages import STAGES

        run, stages = self._run, STAGES["phase"]
        self.ui.progressBar.value = int(
            100 * (run.finished + (stages.index(stage) + fraction) / len(stages)) / run.count
        )
        text = _("Phase {title}, {number} of {count}: {stage}...")
        self.ui.statusLabel.text = text.format(
            title=run.titles[value], number=run.finished + 1, count=run.count, stage=STAGE_TEXTS[stage]
        )

    def onPhaseFailed(self, value: str, message: str) -> None:
        """Remember why a phase couldn't be registered."""
        self._failures[value] = message

    def onSeriesEnded(self) -> None:
        """Say how it went; a message box only where something failed."""
        run, self._run = self._run, None
        text = _("Done: {done} of {count} phases registered.")
        self.ui.statusLabel.text = text.format(done=run.registered, count=run.count)
        self._update()
        if self._failures:
            lines = [f"{run.titles[value]}: {message}" for value, message in self._failures.items()]
            text = _("These phases were not registered; the others are in the scene:")
            slicer.util.errorDisplay("\n".join([text, *lines]), windowTitle=_("LungDeepReg"))

    def onCurves(self) -> None:
        """Make or update the tables and the chart of the landmarks, and show the chart."""
        from LungDeepRegLib import mrml

        markups = self._choice.parameters.seriesLandmarks
        try:
            series = self._choice.series()
            curves = mrml.curves_of(series, markups)
            nodes = mrml.publish_curves(curves, series, markups)
        except ValueError as error:
            self._showFailure(str(error))
            return
        slicer.modules.plots.logic().ShowChartInLayout(nodes.chart)
        text = _("{name}: amplitudes from {least:.1f} to {most:.1f} mm over {count} phases.")
        self.ui.curvesLabel.text = text.format(
            name=nodes.table.GetName(),
            least=curves.amplitude.min(),
            most=curves.amplitude.max(),
            count=len(curves.phases),
        )

    def onSaveCurves(self) -> None:
        """Write the motion curves to a file that the user names."""
        from LungDeepRegLib import mrml
        from LungDeepRegLib.motion_curves import write_motion_curves

        try:
            curves = mrml.curves_of(self._choice.series(), self._choice.parameters.seriesLandmarks)
            path = qt.QFileDialog.getSaveFileName(
                self.widget, _("Save motion curves"), "motion_curves.csv", _("CSV files (*.csv)")
            )
            if path:
                write_motion_curves(path, curves)
                self.ui.curvesLabel.text = _("Saved as {path}").format(path=path)
        except ValueError as error:
            self._showFailure(str(error))

    def _selectors(self) -> tuple[tuple[Any, str], ...]:
        """The node boxes, and the parameters that they show."""
        return (self.ui.browserSelector, "seriesBrowser"), (self.ui.landmarksSelector, "seriesLandmarks")

    def _follow(self, *_event: Any) -> None:
        """Update if anything changed that matters: a browser that plays, and other panels, change all the time."""
        if self._choice is not None and self._shown != self._state():
            self._update()

    def _state(self) -> Any:
        """What the panel's contents depend on, as far as it is quick to find out."""
        choice = self._choice
        if choice is None or not choice.names:
            return None
        parameters = choice.parameters
        mask = parameters.seriesMask, parameters.seriesSegment
        others = parameters.seriesWarpedWanted, parameters.seriesLandmarks
        return choice.names, choice.reference, choice.quickSettings(), mask, others

    def _update(self) -> None:
        """Bring everything into step with the parameters and with what is running."""
        self._shown, choice, busy = self._state(), self._choice, self.busy
        names = choice.names if choice is not None else []
        missing = choice.missing() if choice is not None else _("The scene is closing")
        button = self.ui.registerSeriesButton
        button.text = _("Cancel") if busy else _("Register all phases")
        button.enabled = busy or not missing
        whatItDoes = _("Register each phase to the reference phase; those that are registered already are left out")
        button.toolTip = _("Stop; the phases that were registered are kept") if busy else missing or whatItDoes
        self.ui.progressBar.visible = busy
        for name in ("browserSelector", "referenceSelector", "maskSelector", "segmentSelector", "warpedCheckBox"):
            getattr(self.ui, name).enabled = not busy
        for button in (self.ui.curvesButton, self.ui.saveCurvesButton):
            button.enabled = bool(names) and choice.parameters.seriesLandmarks is not None
        self._listReferences(names)
        self._listPhases()

    def _listReferences(self, names: list[str]) -> None:
        """Offer the phases as reference, without taking that for a choice."""
        selector = self.ui.referenceSelector
        blocked = selector.blockSignals(True)
        if names != [selector.itemText(index) for index in range(selector.count)]:
            selector.clear()
            selector.addItems(names)
        selector.setCurrentIndex(self._choice.values.index(self._choice.reference) if names else -1)
        selector.blockSignals(blocked)

    def _listPhases(self) -> None:
        """A row for each phase, with its state."""
        names = self._choice.names if self._choice is not None else []
        self.ui.phasesTable.setRowCount(len(names))
        if not names:
            return
        try:
            states = [
                _("running") if self._run is not None and value == self._run.current else text
                for value, (_state, text) in self._choice.states().items()
            ]
        except ValueError as error:
            states = [str(error)] * len(names)
        for row, texts in enumerate(zip(names, states, strict=True)):
            for column, text in enumerate(texts):
                setCell(self.ui.phasesTable, row, column, text)

    def _showFailure(self, message: str) -> None:
        self.ui.statusLabel.text = message
        slicer.util.errorDisplay(message, windowTitle=_("LungDeepReg"))


def setCell(table: Any, row: int, column: int, text: str) -> None:
    """A text in a table that can be read and selected, not edited."""
    item = table.item(row, column)
    if item is None:
        item = qt.QTableWidgetItem()
        item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        table.setItem(row, column, item)
    if item.text() != text:
        item.setText(text)
        item.setToolTip(text)
