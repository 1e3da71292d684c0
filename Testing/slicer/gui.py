"""Drives a module as a user does: opens it in stand-ins of Slicer's desktop application, clicks, closes, saves, loads.

A test that takes the fixture ``slicer_application`` fails if, by its end, an exception was raised in a slot or an
observer, Qt or VTK complained, or an error message was shown that the test hasn't taken.
"""

import importlib.util
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slicer
from PySide6 import QtCore

from Testing.slicer.scene import reset
from Testing.slicer.standins.install import installed
from Testing.slicer.standins.loadable_module import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget
from Testing.slicer.standins.message_box import Message, messages
from Testing.slicer.standins.mrml_widgets import qMRMLCheckableNodeComboBox, qMRMLNodeComboBox
from Testing.slicer.standins.qt_module import qt
from Testing.slicer.views import Views

NOISE = ("This plugin does not support propagateSizeHints()",)
"""What Qt says without a display, whatever the program does."""


class Session:
    """One run of the application."""

    def __init__(self, started, app) -> None:
        self.started, self.app, self.scene = started, app, started.scene
        self.errors: list[str] = []
        self.opened: list[object] = []

    def open_module(self, path: Path):
        """Load a module's file, set up its panel and enter it; its widget object."""
        path = Path(path)
        python = load(path)
        parent = qSlicerScriptedLoadableModule(path)
        setattr(slicer.modules, path.stem.lower(), parent)
        setattr(slicer.modules, path.stem + "Instance", getattr(python, path.stem)(parent))
        self.app.emit("startupCompleted()")
        panel = qSlicerScriptedLoadableModuleWidget(path.stem)
        parent.representation = panel
        panel.setMRMLScene(self.scene)
        panel.reload()
        self.opened.append(panel)
        panel.enter()
        return panel.self()

    def reload(self, widget):
        """As the developer's button Reload does; the new widget object, which nobody has entered."""
        panel = widget.parent
        slicer.util.reloadScriptedModule(widget.moduleName)
        return panel.self()

    def close_scene(self) -> None:
        reset(self.started)
        qt.QApplication.processEvents()

    def save_scene(self, path: Path) -> None:
        assert slicer.util.saveScene(str(path), {}), f"{path} wasn't saved"

    def load_scene(self, path: Path) -> None:
        """Replace the scene by a saved one."""
        self.close_scene()
        slicer.util.loadScene(str(path), {"clear": True})
        qt.QApplication.processEvents()

    def answer(self, *buttons) -> None:
        """What the user will answer to the next questions, in this order."""
        messages.answers.extend(buttons)

    def take_messages(self) -> list[Message]:
        """The messages shown since the last call."""
        return messages.take()

    def take_errors(self) -> list[str]:
        """What would fail the test, as text; a test that expects it takes it away."""
        taken, self.errors = self.errors, []
        return taken

    def check(self) -> None:
        """Fail if anything went wrong that the test hasn't taken away."""
        critical = [message.text for message in messages.take() if message.critical]
        answers = list(messages.answers)
        messages.answers.clear()
        assert not self.errors, "\n".join(self.errors)
        assert not critical, f"error messages that the test didn't take: {critical}"
        assert not answers, f"answers that nothing asked for: {answers}"

    def close(self) -> None:
        """Unload the modules, as when Slicer ends."""
        self.app.emit("aboutToQuit()")
        for panel in self.opened:
            if panel.isEntered:
                panel.exit()
            self.app.moduleManager().emit("moduleAboutToBeUnloaded(QString)", panel.self().moduleName)
            panel.close()
            panel.deleteLater()
        qt.QApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        qt.QApplication.processEvents()
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            self.scene.RemoveNode(node)


def load(path: Path):
    """Import a module's file under its own name, as Slicer does."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def click(button) -> None:
    """Click a button that a user could click now."""
    assert button.enabled, f"{button.name} is disabled: {button.toolTip}"
    assert button.isWindow() or button.isVisibleTo(button.window()), f"{button.name} is hidden"
    button.click()
    qt.QApplication.processEvents()


def choose(box, choice: object) -> None:
    """Choose a node (None for none) or a text in a combo box, as by its list."""
    inner = box._box if isinstance(box, qMRMLNodeComboBox) else box
    assert box.enabled, f"{box.name} is disabled: {box.toolTip}"
    if isinstance(choice, str):
        index = inner.findText(choice)
    else:
        index = inner.findData(choice.GetID() if choice is not None else "")
    shown = [inner.itemText(i) for i in range(inner.count)]
    assert index >= 0, f"{box.name} offers {shown}, not {choice if isinstance(choice, str) else choice.GetName()}"
    if not str(inner.itemData(index)).startswith("+"):  # an action, which makes a node current itself
        inner.setCurrentIndex(index)
    inner.activated.emit(index)
    qt.QApplication.processEvents()


def check(box: qMRMLCheckableNodeComboBox, node, checked: bool = True) -> None:
    """Check a node in a list of nodes."""
    assert box._box.findData(node.GetID()) >= 0, f"{box.name} doesn't offer {node.GetName()}"
    box.setCheckState(node, QtCore.Qt.Checked if checked else QtCore.Qt.Unchecked)
    qt.QApplication.processEvents()


def process_events_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let Qt run until a condition holds; fail after some time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        qt.QApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)
        time.sleep(0.002)


def screenshot(widget, path: Path, size: tuple[int, int] = (480, 640)) -> None:
    """A picture of a widget, or of the panel of a module's widget object."""
    shown = widget if isinstance(widget, qt.QWidget) else widget.parent
    shown.resize(*size)
    shown.show()
    qt.QApplication.processEvents()
    qt.QApplication.processEvents()
    path.parent.mkdir(parents=True, exist_ok=True)
    assert shown.grab().save(str(path)), f"{path} wasn't written"


def collect_errors(session: Session, patch: pytest.MonkeyPatch) -> None:
    """Exceptions in slots and observers, and Qt's warnings, go to the session."""
    patch.setattr(
        sys, "excepthook", lambda *raised: session.errors.append("".join(traceback.format_exception(*raised)))
    )

    def said(kind, _context, text):
        if kind != QtCore.QtMsgType.QtDebugMsg and text not in NOISE:
            session.errors.append(f"Qt: {text}")

    QtCore.qInstallMessageHandler(said)


@pytest.fixture
def slicer_version() -> tuple[int, int]:
    """Parametrize or override it to run in another Slicer."""
    return 5, 12


@pytest.fixture
def slicer_application(application, scene, tmp_path, slicer_version, monkeypatch) -> Iterator[Session]:
    """Slicer's application, as far as stand-ins go, on the empty scene."""
    known, path = set(sys.modules), list(sys.path)
    messages.take(), messages.answers.clear()
    with installed(application, tmp_path / "settings", slicer_version) as app:
        session = Session(application, app)
        collect_errors(session, monkeypatch)
        try:
            yield session
            session.close()
        finally:
            QtCore.qInstallMessageHandler(None)
            sys.path[:] = path
            forget_modules(known)
    session.check()


def forget_modules(known: set[str]) -> None:
    """What a module under test imported of its own is imported anew by the next test."""
    packages = {name.partition(".")[0] for name in known}
    for name in set(sys.modules) - known:
        if name.partition(".")[0] not in packages and "qt" in vars(sys.modules[name]):
            del sys.modules[name]


@pytest.fixture
def views(slicer_application):
    """The application's views, small, for modules that draw in them."""
    views = Views(slicer_application.scene, slicer_application.started.logic, size=(360, 240))
    slicer_application.app.show_views(views.views)
    yield views
    views.close()
