"""Puts the stand-ins where a module finds them, for one test."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import slicer
import slicer.util

from Testing.slicer.standins import (
    i18n,
    loadable_module,
    mrml_widgets,
    parameter_node,
    pytorch_utils,
    sample_data,
)
from Testing.slicer.standins.application import Application
from Testing.slicer.standins.ctk_module import ctk
from Testing.slicer.standins.qt_module import WIDGETS, qt


def slicer_modules(started) -> ModuleType:
    """``slicer.modules``: the loadable modules whose logics run."""
    modules = ModuleType("slicer.modules")
    for name, logic in started.modules.items():
        setattr(modules, name.lower(), SimpleNamespace(name=name, logic=lambda logic=logic: logic))
    return modules


def scripted_module() -> ModuleType:
    """``slicer.ScriptedLoadableModule``, for ``import *`` too."""
    module = ModuleType("slicer.ScriptedLoadableModule")
    vars(module).update({cls.__name__: cls for cls in loadable_module.CLASSES})
    module.__all__ = [cls.__name__ for cls in loadable_module.CLASSES]
    return module


def use_settings(folder: Path) -> None:
    """Keep the settings in a folder of the test."""
    qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
    qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, str(folder))
    qt.QApplication.setOrganizationName("NA-MIC")
    qt.QApplication.setApplicationName("Slicer")


@contextmanager
def installed(started, folder: Path, version: tuple[int, int] = (5, 12)) -> Iterator[Application]:
    """Slicer's application around a started scene (:func:`Testing.slicer.scene.start_application`)."""
    if qt.QApplication.instance() is None:
        qt.QApplication([])
    use_settings(folder)
    app = Application(started, folder, version)
    app.pytorch, app.sample_data = pytorch_utils.PyTorch(), sample_data.Registered()
    contents = {
        "app": app,
        "mrmlScene": started.scene,
        "modules": slicer_modules(started),
        "selfTests": {},
        "ScriptedLoadableModule": scripted_module(),
        "parameterNodeWrapper": parameter_node.make_module(),
        "i18n": i18n.make_module(),
        "qSlicerScriptedLoadableModule": loadable_module.qSlicerScriptedLoadableModule,
        **{name: cls for name, cls in WIDGETS.items() if name in vars(mrml_widgets) or name.startswith("qSlicer")},
    }
    imported = {
        "qt": qt,
        "ctk": ctk,
        "PyTorchUtils": pytorch_utils.make_module(app.pytorch),
        "SampleData": sample_data.make_module(app.sample_data, version),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in contents.items():
            patch.setattr(slicer, name, value, raising=False)
            if isinstance(value, ModuleType):
                imported[f"slicer.{name}"] = value
        for name, module in imported.items():
            patch.setitem(sys.modules, name, module)
        yield app
