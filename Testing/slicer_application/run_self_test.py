"""Loads the module in the real 3D Slicer and runs its self-test; run by Slicer itself, see launch.py.

Every step is a check with a name. Slicer exits with 0 only if there were checks and all held: an error that Slicer
would swallow, such as one in setup(), counts as a failure, and what was left out is printed.

Environment: LUNGDEEPREG_LOG names a file that gets all that is printed here (on Windows nothing else shows it);
LUNGDEEPREG_PYTORCH=1 says that the extension PyTorch is there, so that PyTorch is to be installed and the registration
must not be left out.
"""

import importlib
import logging
import os
import sys
import traceback
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer

MODULE = "LungDeepReg"


class Report:
    """What was checked, printed as it comes."""

    def __init__(self, log: str | None) -> None:
        self.log = Path(log) if log else None
        self.checks = 0
        self.failures: list[str] = []

    def say(self, text: str) -> None:
        """Print a line, and keep it in the log."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")

    def check(self, name: str, test: Callable[[], Any]) -> None:
        """Run a check: it fails if it raises, or if something is raised meanwhile that Slicer swallows."""
        self.checks += 1
        problem = ""
        with swallowed() as errors:
            try:
                test()
            except Exception:
                problem = traceback.format_exc()
        problem = "\n".join([problem, *errors]).strip()
        self.say(f"{'FAILED' if problem else 'passed'}: {name}")
        if problem:
            self.failures.append(name)
            self.say(problem)

    @property
    def exitCode(self) -> int:  # noqa: N802
        """0 only if there was something to pass and all of it did."""
        return 0 if self.checks and not self.failures else 1


@contextmanager
def swallowed() -> Iterator[list[str]]:
    """Collect exceptions that leave Python for C++ (slots, setup()), where Slicer prints them and goes on."""
    errors: list[str] = []
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        errors.append("".join(traceback.format_exception(kind, error, trace)))
        before(kind, error, trace)

    sys.excepthook = hook
    try:
        yield errors
    finally:
        sys.excepthook = before


def isLoaded() -> None:  # noqa: N802
    """Slicer drops a module whose file can't be imported, without a word here."""
    assert hasattr(slicer.modules, MODULE.lower()), f"{MODULE} is not among Slicer's modules: see the log above"


def hasItsWidget() -> None:  # noqa: N802
    """Build the widget as a click on the module does."""
    assert getattr(slicer.modules, MODULE.lower()).widgetRepresentation() is not None
    widget = getattr(slicer.modules, f"{MODULE}Widget")
    assert widget.layout.count() > 1, "setup() added no panels"
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule(MODULE)


def leavesTorchAlone() -> None:  # noqa: N802
    """Slicer's own process never imports it."""
    assert "torch" not in sys.modules, "torch was imported into Slicer's process"


def offersSampleData() -> None:  # noqa: N802
    """Both pairs are in Sample Data, which Slicer is told when it has started."""
    importlib.import_module("LungDeepRegWidgets.sampleData").registerSampleData()
    assert len(slicer.modules.sampleDataSources[MODULE]) == 2


def installPyTorch(report: Report) -> None:  # noqa: N802
    """As the first click on Register does."""
    pytorch = importlib.import_module("LungDeepRegWidgets.pytorch")
    try:
        pytorch.ensureTorch(lambda question: True)
    except pytorch.TorchUnavailable as unavailable:
        if str(unavailable) != pytorch.messages.intelMac():
            raise
        report.say(f"LEFT OUT: {unavailable}")


def passesItsSelfTest(report: Report) -> None:  # noqa: N802
    """All tests of LungDeepRegTest, by unittest; what they leave out is said."""
    left_out: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: left_out.append(record.getMessage())  # type: ignore[method-assign]
    handler.addFilter(lambda record: "SKIPPED" in record.getMessage())
    logging.getLogger().addHandler(handler)
    try:
        tests = unittest.defaultTestLoader.loadTestsFromTestCase(importlib.import_module(MODULE).LungDeepRegTest)
        result = unittest.TextTestRunner(verbosity=2).run(tests)
    finally:
        logging.getLogger().removeHandler(handler)
    left_out += [f"{test}: {reason}" for test, reason in result.skipped]
    for text in left_out:
        report.say(f"LEFT OUT: {text}")
    problems = "\n".join(text for _, text in [*result.failures, *result.errors])
    assert result.wasSuccessful(), problems
    assert result.testsRun > 0, "no test was found"
    usable = importlib.import_module("LungDeepRegWidgets.pytorch").torchState().usable
    assert not (left_out and usable), "PyTorch is there, yet something was left out"


def main() -> int:
    """Run all checks; gives the exit code."""
    report = Report(os.environ.get("LUNGDEEPREG_LOG"))
    version = getattr(slicer.app, "applicationVersion", "unknown")
    report.say(f"Slicer {version}, Python {sys.version.split()[0]}, {sys.platform}")
    try:
        report.check("the module is loaded", isLoaded)
        report.check("its widget is built", hasItsWidget)
        report.check("torch is left alone", leavesTorchAlone)
        report.check("sample data are offered", offersSampleData)
        if os.environ.get("LUNGDEEPREG_PYTORCH") == "1":
            report.check("PyTorch is installed", lambda: installPyTorch(report))
        report.check("the self-test passes", lambda: passesItsSelfTest(report))
        report.check("torch is left alone to the end", leavesTorchAlone)
    except BaseException:
        report.failures.append("unexpected")
        report.say(traceback.format_exc())
    report.say(f"{report.checks - len(report.failures)} passed, {len(report.failures)} failed")
    return report.exitCode


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    finally:
        slicer.util.exit(code)
