"""The module's entry in 3D Slicer. Its panels are not built yet; the engine runs from Slicer's Python console."""

import qt
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

PYTHON_EXAMPLE = """from LungDeepRegLib import mrml, register
fixedNode, movingNode = getNode("exhale"), getNode("inhale")
registration = register(mrml.volume_from_node(fixedNode), mrml.volume_from_node(movingNode))
mrml.publish(registration, fixedNode, movingNode)"""


class LungDeepReg(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        super().__init__(parent)
        self.parent.title = _("LungDeepReg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["The LungDeepReg contributors"]
        self.parent.helpText = _(
            "Registers two images of the same lungs, such as exhale and inhale, and shows how the lung moved."
            " Research software, not for clinical use."
        )
        self.parent.acknowledgementText = _("After Christodoulidis et al. 2018, arXiv:1809.06226.")


class LungDeepRegWidget(ScriptedLoadableModuleWidget):
    """Says how to run the engine until the panels exist."""

    def setup(self):
        """Show the Python lines that register two loaded volumes."""
        super().setup()
        label = qt.QLabel(_("The panels of this module are not built yet. In Slicer's Python console:"))
        label.wordWrap = True
        example = qt.QPlainTextEdit(PYTHON_EXAMPLE)
        example.readOnly = True
        self.layout.addWidget(label)
        self.layout.addWidget(example)
        self.layout.addStretch(1)
