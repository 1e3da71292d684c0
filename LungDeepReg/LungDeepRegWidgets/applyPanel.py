"""The last panel: a result applied to further images, segmentations, models and markups."""

import logging
from typing import Any

import slicer
from slicer.i18n import tr as _

from .busy import Busy, tellBusy
from .panel import Panel
from .pytorch import TorchUnavailable, ensureTorch


class ApplyPanel(Panel):
    """Takes what the user checks through the current transform, as new nodes beside the fixed volume.

    Args:
        runner: Runs the worker's tasks.
        uiPath: The panel's .ui file.
    """

    def __init__(self, runner: Any, uiPath: str) -> None:
        self._runner = runner
        self._prepared: Any = None
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui.transformSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onTransform)
        self.ui.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._update)
        self.ui.nodesSelector.connect("checkedNodesChanged()", self._update)
        self.ui.applyButton.connect("clicked()", self.onApply)
        self._update()

    @property
    def busy(self) -> bool:
        """Whether the transform is being applied."""
        return self._prepared is not None

    def setResult(self, nodes: Any) -> None:
        """Offer a result's transform and fixed volume.

        Args:
            nodes: ``mrml.ResultNodes``, or None: then what is chosen stays.
        """
        if nodes is not None and nodes.transform is not None:
            self.ui.transformSelector.setCurrentNode(nodes.transform)
            self.ui.referenceSelector.setCurrentNode(nodes.fixed)

    def onTransform(self, transform: Any) -> None:
        """Another transform: its own fixed volume, if it names one, is the reference."""
        fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) if transform is not None else None
        if fixed is not None:
            self.ui.referenceSelector.setCurrentNode(fixed)
        self._update()

    def onApply(self) -> None:
        """Start, or cancel what is running."""
        from LungDeepRegLib import mrml

        if self.busy:
            self.cancel()
            return
        try:
            nodes, transform = self.ui.nodesSelector.checkedNodes(), self.ui.transformSelector.currentNode()
            prepared = mrml.prepare(nodes, transform, self.ui.referenceSelector.currentNode())
            if prepared.request is None:  # models and markups: Slicer has taken them there itself
                self._finish(prepared, [])
                return
            ensureTorch()
            self._runner.run(
                "warp", prepared.request, onProgress=self.showProgress, onDone=self._taken, onFailed=self.showFailure
            )
        except Busy as busy:
            tellBusy(busy)
            return
        except (TorchUnavailable, ValueError, RuntimeError) as error:
            self.showFailure(str(error))
            return
        self._prepared = prepared
        self.showProgress("send", 0.0)
        self._update()

    def cancel(self) -> None:
        """Stop what is running at once; no node has been made."""
        if self.busy:
            self._prepared = None
            self._runner.cancel()
            self.ui.statusLabel.text = _("Canceled.")
            self._update()

    def showProgress(self, stage: str, fraction: float) -> None:
        """Show how far it is; the worker's stages count alike."""
        from LungDeepRegLib.worker.messages import STAGES

        stages = STAGES["warp"]
        self.ui.progressBar.value = int(100 * (stages.index(stage) + fraction) / len(stages))
        self.ui.statusLabel.text = _("Applying...")

    def showFailure(self, message: str) -> None:
        """Show why it didn't work; the message box is what a user can't overlook."""
        self._prepared = None
        self.ui.statusLabel.text = message
        self._update()
        slicer.util.errorDisplay(message, windowTitle=_("LungDeepReg"))

    def _taken(self, answer: Any) -> None:
        """The worker's answer is here."""
        prepared, self._prepared = self._prepared, None
        self._finish(prepared, answer)

    def _finish(self, prepared: Any, answer: Any) -> None:
        """Make the new nodes, and say which, or why not."""
        from LungDeepRegLib import mrml

        try:
            made = mrml.carry_over(prepared, answer)
        except (ValueError, RuntimeError) as error:
            self.showFailure(str(error))
            return
        except Exception as error:  # such as MemoryError: whatever it is, the panel must be usable again
            logging.exception("The new nodes could not be made")
            text = _("The new nodes couldn't be made: {error}. The log has the details; no node was added.")
            self.showFailure(text.format(error=str(error) or type(error).__name__))
            return
        names = ", ".join(node.GetName() for node in made.nodes)
        lines = [_("Made: {names}.").format(names=names)]
        lines += [_("Warning: {warning}.").format(warning=warning) for warning in made.warnings]
        self.ui.statusLabel.text = "\n".join(lines)
        self._update()

    def _missing(self) -> str:
        """What the button waits for; empty if nothing."""
        if self.ui.transformSelector.currentNode() is None:
            return _("Choose a transform: register first, or load one")
        if self.ui.referenceSelector.currentNode() is None:
            return _("Choose the fixed volume, whose voxels the new volumes get")
        if not self.ui.nodesSelector.checkedNodes():
            return _("Check at least one volume, segmentation, model or markups list of the moving image")
        return ""

    def _update(self, *_event: Any) -> None:
        """Bring the button into step with what is chosen and what is running."""
        missing, button = self._missing(), self.ui.applyButton
        button.text = _("Cancel") if self.busy else _("Apply")
        button.enabled = self.busy or not missing
        whatItDoes = _("Make new nodes, deformed onto the fixed volume; what is checked stays as it is")
        button.toolTip = _("Stop; no node is made") if self.busy else missing or whatItDoes
        self.ui.progressBar.visible = self.busy
