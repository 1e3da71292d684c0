"""The module's entry file, loaded on bare stand-ins of what only Slicer's desktop application has."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

FILE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"


class Module:
    def __init__(self, parent):
        self.parent = parent


class Widget:
    def setup(self):
        self.layout = SimpleNamespace(added=[])
        self.layout.addWidget = self.layout.added.append
        self.layout.addStretch = self.layout.added.append


@pytest.fixture
def module(monkeypatch):
    """The entry file as Slicer imports it; any heavier import in it would fail the test below."""
    contents = {
        "qt": {
            "QLabel": lambda text: SimpleNamespace(text=text),
            "QPlainTextEdit": lambda text: SimpleNamespace(text=text),
        },
        "slicer.i18n": {"tr": lambda text: text, "translate": lambda context, text: text},
        "slicer.ScriptedLoadableModule": {"ScriptedLoadableModule": Module, "ScriptedLoadableModuleWidget": Widget},
    }
    for name, attributes in contents.items():
        stand_in = ModuleType(name)
        vars(stand_in).update(attributes)
        monkeypatch.setitem(sys.modules, name, stand_in)
    spec = importlib.util.spec_from_file_location("LungDeepReg", FILE)
    loaded = importlib.util.module_from_spec(spec)
    for name in ("torch", "LungDeepRegLib"):
        monkeypatch.setitem(sys.modules, name, None)  # importing one of them raises ImportError
    spec.loader.exec_module(loaded)
    return loaded


def test_the_module_introduces_itself_without_loading_the_engine(module):
    parent = SimpleNamespace()
    module.LungDeepReg(parent)
    assert parent.title == "LungDeepReg"
    assert parent.categories == ["Registration"]
    assert "not for clinical use" in parent.helpText


def test_the_widget_shows_lines_that_are_python(module):
    widget = module.LungDeepRegWidget()
    widget.setup()
    label, example, _ = widget.layout.added
    assert "not built yet" in label.text
    assert example.readOnly
    compile(example.text, "console", "exec")
