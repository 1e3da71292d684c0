"""The script that tests the module in the real Slicer fails whenever something is wrong; run on a stand-in here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "slicer_application"
SLICER = """
import sys
from types import SimpleNamespace

class Representation:
    def widgetRepresentation(self):
        try:
            {setup}
        except Exception:
            sys.excepthook(*sys.exc_info())  # what PythonQt does with it
        return self

widget = SimpleNamespace(layout=SimpleNamespace(count=lambda: {panels}))
modules = SimpleNamespace({name}=Representation(), LungDeepRegWidget=widget, sampleDataSources={{}})
app = SimpleNamespace(applicationVersion="5.12.3")
util = SimpleNamespace(mainWindow=lambda: None, exit=sys.exit)
"""
MODULE = """
import logging, unittest
class LungDeepRegTest(unittest.TestCase):
    def test_one(self):
        {test}
"""
SAMPLE_DATA = """
import slicer
def registerSampleData(): slicer.modules.sampleDataSources["LungDeepReg"] = [1, 2]
"""
PYTORCH = """
from types import SimpleNamespace
class TorchUnavailable(RuntimeError): pass
messages = SimpleNamespace(intelMac=lambda: "an Intel Mac")
def torchState(): return SimpleNamespace(usable={usable})
def ensureTorch(ask): {ensure}
"""
FINE = {
    "setup": "pass", "panels": 4, "name": "lungdeepreg", "test": "pass", "usable": "True", "ensure": "pass",
}  # fmt: skip


def run(folder: Path, pytorch: str = "0", **changes: object) -> subprocess.CompletedProcess[str]:
    values = {**FINE, **changes}
    widgets = folder / "LungDeepRegWidgets"
    widgets.mkdir()
    for path, text in (
        (folder / "slicer.py", SLICER),
        (folder / "LungDeepReg.py", MODULE),
        (widgets / "sampleData.py", None),
        (widgets / "pytorch.py", PYTORCH),
    ):
        path.write_text(SAMPLE_DATA if text is None else text.format(**values))
    environment = {**os.environ, "PYTHONPATH": str(folder), "LUNGDEEPREG_PYTORCH": pytorch}
    environment["LUNGDEEPREG_LOG"] = str(folder / "log.txt")
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "run_self_test.py")],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_all_is_well(tmp_path):
    done = run(tmp_path, pytorch="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed, 0 failed" in done.stdout
    assert done.stdout == (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"name": "another"}, "the module is loaded"),
        ({"setup": "1 / 0"}, "its widget is built"),
        ({"panels": 1}, "its widget is built"),
        ({"setup": "sys.modules['torch'] = sys"}, "torch is left alone"),
        ({"test": "assert False"}, "the self-test passes"),
        ({"test": "raise OSError"}, "the self-test passes"),
        ({"test": "pass\n    test_one = None"}, "the self-test passes"),
        ({"test": "self.skipTest('no time')"}, "the self-test passes"),
        ({"test": "logging.warning('SKIPPED: no time')"}, "the self-test passes"),
        ({"ensure": "raise TorchUnavailable('no internet')"}, "PyTorch is installed"),
    ],
)
def test_each_fault_fails_the_run(tmp_path, change, name):
    done = run(tmp_path, pytorch="1", **change)
    assert done.returncode == 1
    assert f"FAILED: {name}" in done.stdout


def test_without_pytorch_it_is_said_what_was_left_out(tmp_path):
    done = run(tmp_path, test="logging.warning('SKIPPED the registration')", usable="False")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LEFT OUT: SKIPPED the registration" in done.stdout


def test_where_there_is_no_pytorch_to_be_had_that_is_said(tmp_path):
    done = run(tmp_path, pytorch="1", usable="False", ensure="raise TorchUnavailable('an Intel Mac')")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "LEFT OUT: an Intel Mac" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as application")
@pytest.mark.parametrize(("ends", "log", "code"), [(0, "yes", 0), (3, "yes", 3), (0, "", 1)])
def test_the_launcher_passes_slicers_exit_code_on(tmp_path, ends, log, code):
    application = tmp_path / "Slicer"
    writes = 'echo "a check" > "$LUNGDEEPREG_LOG"' if log else "true"
    application.write_text(f'#!/bin/sh\n{writes}\necho "$@" > {tmp_path}/words\nexit {ends}\n')
    application.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "launch.py"), "run_self_test.py", "--slicer", str(application)],
        env={**os.environ, "DISPLAY": ":0", "LUNGDEEPREG_LOG": str(tmp_path / "log.txt")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code
    words = (tmp_path / "words").read_text().split()
    assert {"--testing", "--no-main-window", "--additional-module-paths"} <= set(words)
    assert ("a check" in done.stdout) == bool(log)
