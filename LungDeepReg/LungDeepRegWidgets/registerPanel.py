"""The first panel: two volumes, their settings, the Register button, and how it went."""

import json
import time
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from .busy import Busy, tellBusy
from .maskInput import MaskInput
from .panel import Panel
from .phaseInput import PhaseInput
from .pytorch import TorchUnavailable, ensureTorch, messageFor
from .registration import forget, foundAgain, keepOutputs, releaseOutputs, whatIsMissing
from .resultText import resultText
from .sampleData import PHANTOM, SampleDataCanceled, loadSamplePair
from .settings import Device, Weights

STAGE_TEXTS = {
    "send": _("Starting; the first time takes some seconds more"),
    "prepare": _("Reading the images"),
    "align": _("Aligning"),
    "network": _("Network"),
    "refine": _("Refining"),
    "warp": _("Deforming the moving volume"),
    "measure": _("Measuring the result"),
    "answer": _("Taking over the result"),
}


class RegisterPanel(Panel):
    """Lets the user choose, starts the registration, and shows its progress and its figures.

    Args:
        logic: The module's logic: runs registrations, knows the runner.
        uiPath: The panel's .ui file.
        onResult: Given the :class:`mrml.ResultNodes` that are current now, or None.
    """

    def __init__(self, logic: Any, uiPath: str, onResult: Any) -> None:
        self.logic, self._onResult = logic, onResult
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.parameters: Any = None
        self._gui: Any = None
        self._observer: int | None = None
        self._pair: tuple[Any, Any] = (None, None)
        self.ui.registerButton.connect("clicked()", self.onRegisterButton)
        self.ui.swapButton.connect("clicked()", self.onSwap)
        self.ui.sampleDataButton.connect("clicked()", self.onSampleData)
        self._masks = [
            MaskInput(self.ui.fixedMaskSelector, self.ui.fixedSegmentSelector, "fixed"),
            MaskInput(self.ui.movingMaskSelector, self.ui.movingSegmentSelector, "moving"),
        ]
        self._phases = PhaseInput(self.ui, self.choose)
        logic.runner.onLog = self.log
        logic.runner.onReady = self.showDevices

    def setParameters(self, parameters: Any) -> None:
        """Show another parameter node; None while the scene closes."""
        if self.parameters is not None:
            self.parameters.disconnectGui(self._gui)
            self.parameters.RemoveObserver(self._observer)
        self.parameters = parameters
        if parameters is not None:
            self._pair = parameters.fixedVolume, parameters.movingVolume
            self._gui = parameters.connectParametersToGui(self._boundWidgets())
            self._observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update)
        for mask in self._masks:
            mask.setParameters(parameters)
        if self.logic.runner.ready:
            self.showDevices(self.logic.runner.ready)
        self._update()
        self._onResult(self.logic.resultNodes(parameters) if parameters is not None else None)

    def _boundWidgets(self) -> dict[str, Any]:
        """The widgets that show a parameter, by its name.

        With ``connectGui`` Slicer finds them itself, but gives no tag to disconnect them by: connected twice, the combo
        boxes would fall back to their first entry.
        """
        bound = {widget.property("SlicerParameterName"): widget for widget in self.widget.findChildren(qt.QWidget)}
        return {name: widget for name, widget in bound.items() if name}

    def choose(self, fixed: Any, moving: Any) -> None:
        """Select two volumes."""
        self.parameters.fixedVolume, self.parameters.movingVolume = fixed, moving

    def forget(self, node: Any) -> None:
        """Let go of a node that is about to be removed, in the parameters and in the boxes."""
        if self.parameters is not None:
            forget(self.parameters, node)
            for mask in self._masks:
                mask.setParameters(self.parameters)

    def onSwap(self) -> None:
        """Exchange fixed and moving volume, with their masks."""
        for first, second in (
            ("fixedVolume", "movingVolume"),
            ("fixedMask", "movingMask"),
            ("fixedSegment", "movingSegment"),
        ):
            was = getattr(self.parameters, first)
            setattr(self.parameters, first, getattr(self.parameters, second))
            setattr(self.parameters, second, was)
        for mask in self._masks:
            mask.setParameters(self.parameters)

    def onSampleData(self) -> None:
        """Load the synthetic pair and select it."""
        try:
            self.choose(*loadSamplePair(PHANTOM, self.logic.runner))
        except SampleDataCanceled:
            return
        except RuntimeError as error:
            self.showFailure(str(error))

    def onRegisterButton(self) -> None:
        """Start, or cancel what is running."""
        if self.logic.busy:
            self.logic.cancel()
            self.showStopped(_("Canceled. Nothing was changed."))
            return
        try:
            ensureTorch()
            self.logic.start(self.parameters, self.showProgress, self.showResult, self.showFailure)
        except Busy as busy:
            tellBusy(busy)
            return
        except (TorchUnavailable, ValueError, RuntimeError) as error:
            self.showFailure(str(error))
            return
        self._update()
        self.showProgress("send", 0.0)

    def showProgress(self, stage: str, fraction: float) -> None:
        """Show how far it is: the stages count alike, since their times differ from pair to pair."""
        from LungDeepRegLib.worker.messages import STAGES

        stages = STAGES["register"]
        self.ui.progressBar.value = int(100 * (stages.index(stage) + fraction) / len(stages))
        text = f"{STAGE_TEXTS[stage]}..."
        if text != self.ui.statusLabel.text:
            self.ui.statusLabel.text = text
            self.log(text)

    def log(self, text: str) -> None:
        """Add a line with the time of day to the log."""
        self.ui.logTextEdit.appendPlainText(f"{time.strftime('%H:%M:%S')} {text}")

    def showResult(self, nodes: Any, summary: dict[str, Any]) -> None:
        """Show the figures of a registration that has been published, unless another pair was chosen meanwhile."""
        self.log(_("Done.") + " " + ", ".join(f"{name} {value:.1f} s" for name, value in summary["seconds"].items()))
        if self.parameters is None or (nodes.fixed, nodes.moving) != self._pair:
            text = _("Done: {moving} to {fixed}. Its results are in the scene; another pair is chosen now.")
            self.showStopped(text.format(moving=nodes.moving.GetName(), fixed=nodes.fixed.GetName()))
            return
        keepOutputs(self.parameters, nodes)
        self.parameters.summary = json.dumps(summary)
        self.ui.statusLabel.text = _("Done. Check the result by eye: see Views below.")
        self._update()
        self._onResult(nodes)

    def showFailure(self, message: str) -> None:
        """Show why it didn't work; the message box is what a user can't overlook."""
        self.ui.statusLabel.text = message
        self.log(message)
        self._update()
        slicer.util.errorDisplay(message, windowTitle=_("LungDeepReg"))

    def showStopped(self, message: str) -> None:
        """Show that it was stopped, by the user or because a volume has gone."""
        self.ui.statusLabel.text = message
        self._update()

    def showDevices(self, ready: dict[str, Any]) -> None:
        """Name the GPU that the worker has found, or say that there is none."""
        name = ready["devices"].get("cuda")
        text = _("GPU: {name}").format(name=name) if name else _("GPU (none that PyTorch can use)")
        self.ui.deviceSelector.setItemText(list(Device).index(Device.GPU), text)
        for warning in ready["warnings"]:
            self.log(messageFor("input", warning))

    def _update(self, *_event: Any) -> None:
        """Bring buttons and boxes into step with the parameters and with what is running."""
        busy, parameters = self.logic.busy, self.parameters
        missing = whatIsMissing(parameters) if parameters is not None else _("The scene is closing")
        button = self.ui.registerButton
        button.text = _("Cancel") if busy else _("Register")
        button.enabled = busy or not missing
        button.toolTip = _("Stop the registration") if busy else missing or _("Register the moving to the fixed volume")
        self.ui.progressBar.visible = busy
        self.ui.sampleDataButton.enabled = not busy
        if parameters is None:
            return
        self._followPair()
        fromFile = parameters.weights is Weights.FILE
        self.ui.weightsFileLabel.visible = self.ui.weightsFileSelector.visible = fromFile
        text = resultText(json.loads(parameters.summary)) if parameters.summary else _("No registration yet.")
        self.ui.resultsLabel.text = text

    def _followPair(self) -> None:
        """Another pair has a result of its own or none yet, and doesn't overwrite that of the last one."""
        pair = self.parameters.fixedVolume, self.parameters.movingVolume
        if pair == self._pair:
            return
        self._pair = pair
        if self.parameters.summary:
            self.parameters.summary = ""
            releaseOutputs(self.parameters)
        if not self.logic.busy:
            self.ui.statusLabel.text = ""  # it was said of the other pair
        found = foundAgain(*pair)
        if found is not None:
            nodes, summary = found
            keepOutputs(self.parameters, nodes)
            self.parameters.summary = json.dumps(summary)
        self._onResult(self.logic.resultNodes(self.parameters))
