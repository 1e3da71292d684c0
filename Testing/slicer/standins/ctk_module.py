"""Stands in for Slicer's module ``ctk``."""

from types import ModuleType

from Testing.slicer.standins.ctk_widgets import ctkCollapsibleButton, ctkDoubleSlider, ctkPathLineEdit, ctkSliderWidget
from Testing.slicer.standins.message_box import ctkMessageBox

ctk = ModuleType("ctk")
for _cls in (ctkCollapsibleButton, ctkDoubleSlider, ctkMessageBox, ctkPathLineEdit, ctkSliderWidget):
    setattr(ctk, _cls.__name__, _cls)
