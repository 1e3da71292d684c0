"""The panel that says, check by check, whether a result can be trusted, and shows where it can and where it can't."""

import html
import logging
from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from .busy import Busy, tellBusy
from .panel import Panel
from .presets.preset import PresetSwitch
from .pytorch import TorchUnavailable, ensureTorch
from .quality.assessmentRun import AssessmentRun, inhaledOf, whatAssessingLacks
from .quality.checks import LandmarkErrors, checksOf, keepThreshold
from .quality.lightsTable import COLORS, LightsTable, lightText
from .quality.mapViews import MapViews
from .quality.regionsTable import showRegions
from .taskRunner import TaskRunner

WITHOUT_WAY_BACK = ("send", "assess", "answer")
"""The stages of an assessment that registers nothing."""


class QualityPanel(Panel):
    """Lights, an assessment by the worker on request, maps and regional figures.

    Attributes:
        landmarkStatistics: Gives the errors of the blind manual landmark pairs as :data:`quality.checks.LandmarkErrors`
            says, or None; :meth:`refresh` asks for them.

    Args:
        runner: Runs the worker's tasks.
        switch: Lends the views.
        uiPath: The panel's .ui file.
        onResult: Given the :class:`mrml.ResultNodes` after an assessment, with its maps, to be given to all panels.
    """

    def __init__(self, runner: TaskRunner, switch: PresetSwitch, uiPath: str, onResult: Callable[[Any], None]) -> None:
        self.landmarkStatistics: Callable[[], LandmarkErrors | None] = lambda: None
        self._runner, self._onResult = runner, onResult
        self._parameters: Any = None
        self._gui: Any = None
        self._observer: int | None = None
        self._nodes: Any = None
        self._running: AssessmentRun | None = None
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._lights = LightsTable(self.ui.checksTable, self.onThreshold, self._say)
        self._maps = MapViews(self.ui, switch)
        self.ui.assessButton.connect("clicked()", lambda: self.onAssess(backward=False))
        self.ui.wayBackButton.connect("clicked()", lambda: self.onAssess(backward=True))
        self.ui.defaultsButton.connect("clicked()", self.onDefaults)
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether a result is being assessed."""
        return self._running is not None

    def setParameters(self, parameters: Any) -> None:
        """Show another scene's parameter node, or none."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui)
            self._parameters.RemoveObserver(self._observer)
        self._parameters = parameters
        if parameters is not None:
            self._gui = parameters.connectParametersToGui({"inhale": self.ui.inhaleSelector})
            self._observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.refresh()

    def setResult(self, nodes: Any) -> None:
        """Show the checks and offer the maps of another result, or of none."""
        self._nodes = nodes
        if not self.busy:
            self._say("")  # it was said of the other result
        self._maps.setResult(nodes)
        self.refresh()

    def forget(self, node: Any) -> None:
        """Stop an assessment whose image or transform goes, and let go of it."""
        stopped = self._running is not None and self._running.uses(node)
        if self._nodes is not None and any(node is used for used in vars(self._nodes).values()):
            there = {name: None if used is node else used for name, used in vars(self._nodes).items()}
            self.setResult(type(self._nodes)(**there))
        if stopped:
            self._stop(_("Stopped: {name} was removed.").format(name=node.GetName()))

    def cancel(self) -> None:
        """Stop what is running at once; the scene is as it was."""
        if self.busy:
            self._stop(_("Canceled. Nothing was changed."))

    def checks(self) -> list[Any]:
        """All :class:`quality.Check` of the result that is shown; none without one."""
        return checksOf(self._parameters, self._nodes, self.landmarkStatistics())

    def refresh(self, *_event: Any) -> None:
        """Compute the lights anew: also after landmarks were changed."""
        found = self.checks()
        assessed = self._assessed()
        self._lights.show(found)
        self.ui.checksTable.visible = self.ui.defaultsButton.visible = bool(found)
        self.ui.overallLabel.text = overallText(found, self._remarks(assessed))
        self.ui.defaultsButton.enabled = bool(found) and bool(self._parameters.qualityThresholds)
        showRegions(self.ui.regionsTable, assessed)
        self._updateButtons()

    def onThreshold(self, name: str, threshold: Any) -> None:
        """The user has set a check's threshold."""
        keepThreshold(self._parameters, name, threshold)
        self._say("")

    def onDefaults(self) -> None:
        """Forget the thresholds that the user has set."""
        self._parameters.qualityThresholds = ""

    def onAssess(self, *, backward: bool) -> None:
        """Start an assessment, or cancel the one that is running.

        Args:
            backward: Whether to register the swapped pair for it.
        """
        if self.busy:
            self.cancel()
            return
        try:
            ensureTorch()
            running = AssessmentRun.of(self._parameters, self._nodes, backward=backward)
            self._runner.run(
                "assess", running.request, onProgress=self.showProgress, onDone=self._taken, onFailed=self.showFailure
            )
        except Busy as busy:
            tellBusy(busy)
            return
        except (TorchUnavailable, ValueError, RuntimeError) as error:
            self.showFailure(str(error))
            return
        self._running = running
        self.showProgress("send", 0.0)
        self._updateButtons()

    def showProgress(self, stage: str, fraction: float) -> None:
        """Show how far it is; the worker's stages count alike, of those that this run has."""
        from LungDeepRegLib.worker.messages import STAGES

        wayBack = self._running is not None and self._running.request["backward"]
        stages = STAGES["assess"] if wayBack else WITHOUT_WAY_BACK
        self.ui.progressBar.value = int(100 * (stages.index(stage) + fraction) / len(stages))
        self._say(_("Registering the way back, and assessing...") if wayBack else _("Assessing..."))

    def showFailure(self, message: str) -> None:
        """Show why it didn't work; the message box is what a user can't overlook."""
        self._stopped(message)
        slicer.util.errorDisplay(message, windowTitle=_("LungDeepReg"))

    def _taken(self, answer: Any) -> None:
        """The worker's answer is here."""
        running, shown = self._running, self._nodes
        self._running = None
        try:
            nodes = running.publish(answer)
        except ValueError as error:
            self.showFailure(str(error))
            return
        except Exception as error:  # such as MemoryError: whatever it is, the panel must be usable again
            logging.exception("The assessment can't be published")
            self.showFailure(_("The assessment can't be shown: {error}").format(error=repr(error)))
            return
        if shown is None or shown.transform is not nodes.transform:
            text = _("Assessed: {name}. Its maps are in the scene; another pair is chosen now.")
            self._stopped(text.format(name=nodes.transform.GetName()))
            return
        self._parameters.lungsVolume = nodes.lungs
        preset, which = self._maps.active, self._maps.which
        self._onResult(nodes)
        self._maps.show(preset, which)  # anew: whoever else heard of the new maps may have left it
        self._stopped(_("Assessed. Look at the maps, beginning with Trust."))

    def _stop(self, message: str) -> None:
        self._runner.cancel()
        self._stopped(message)

    def _stopped(self, message: str) -> None:
        self._running = None
        self._say(message)
        self._updateButtons()

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text
        self.ui.statusLabel.visible = bool(text)

    def _assessed(self) -> dict[str, Any] | None:
        """The figures of the result's assessment."""
        if self._nodes is None or self._nodes.transform is None:
            return None
        from LungDeepRegLib import mrml

        return mrml.assessed(self._nodes.transform)

    def _remarks(self, assessed: dict[str, Any] | None) -> list[str]:
        """What is to be known of an assessment beside its figures."""
        if not assessed:
            return []
        remarks = [text[:1].upper() + text[1:] for text in assessed["warnings"]]
        if self._parameters is not None and assessed["figures"]["inhale"] != inhaledOf(self._parameters):
            remarks.append(_("Another choice of the inhaled image since: assess again for the ventilation"))
        return remarks

    def _updateButtons(self) -> None:
        """Bring the buttons into step with what is there and what is running."""
        missing, wayBack = whatAssessingLacks(self._nodes), False
        if self._parameters is None:
            missing = _("The scene is closing")
        if self._running is not None:
            wayBack = self._running.request["backward"]
        purposes = {
            self.ui.assessButton: (_("Assess"), _("Make the maps of trust and ventilation, and the regional figures")),
            self.ui.wayBackButton: (
                _("Check the way back"),
                _("Register the swapped pair as well, and see whether each point comes back to itself; takes longer"),
            ),
        }
        for button, (text, purpose) in purposes.items():
            own = self.busy and wayBack == (button is self.ui.wayBackButton)
            button.text = _("Cancel") if own else text
            button.enabled = own or (not self.busy and not missing)
            button.toolTip = _("Stop; nothing is changed") if own else missing or purpose
        self.ui.progressBar.visible = self.busy


def overallText(checks: list[Any], warnings: list[str]) -> str:
    """Rich text: the light of the whole, why, and what else is to be known."""
    if not checks:
        return _("No registration yet.")
    from LungDeepRegLib.quality import overall

    light, reasons = overall(checks)
    headline = f'<b><span style="color:{COLORS[light]}">\N{BLACK CIRCLE}</span> {html.escape(headlineOf(light))}</b>'
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in (*reasons, *warnings))
    return f"{headline}<ul>{notes}</ul>"


def headlineOf(light: str) -> str:
    """What the light of the whole says."""
    return _("All in all: {light}").format(light=_("not enough measured") if light == "grey" else lightText(light))
