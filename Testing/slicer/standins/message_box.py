"""Stands in for CTK's message box, and with it for all questions and messages of ``slicer.util``."""

from dataclasses import dataclass

from PySide6 import QtWidgets

from Testing.slicer.standins.ctk_widgets import stored
from Testing.slicer.standins.qt_module import widget


@dataclass(frozen=True)
class Message:
    """What a message box showed."""

    text: str
    title: str
    critical: bool
    details: str


class MessageBoxes:
    """What message boxes said and how the user of the test answers."""

    def __init__(self) -> None:
        self.shown: list[Message] = []
        self.answers: list[object] = []

    def take(self) -> list[Message]:
        """What was shown since the last call."""
        taken, self.shown = self.shown, []
        return taken


messages = MessageBoxes()


@widget
class ctkMessageBox(QtWidgets.QMessageBox):
    """Doesn't wait: records what it says and takes the next of the test's answers."""

    dontShowAgainVisible = stored(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = stored(str, "dontShowAgainSettingsKey", "")

    def exec_(self):
        critical = self.icon == QtWidgets.QMessageBox.Critical
        messages.shown.append(Message(self.text, self.windowTitle, critical, self.detailedText))
        if messages.answers:
            return messages.answers.pop(0)
        if self.standardButtons in (QtWidgets.QMessageBox.NoButton, QtWidgets.QMessageBox.Ok):
            return QtWidgets.QMessageBox.Ok
        msg = f"the test has no answer to {self.text!r}"
        raise AssertionError(msg)
