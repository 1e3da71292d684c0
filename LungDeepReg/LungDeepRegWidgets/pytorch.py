"""PyTorch for the worker process, installed through Slicer's extension PyTorch.

Slicer's own process never imports torch: that takes seconds on the GUI thread and locks its files, so that it can't
be replaced without a restart. What is installed is read from the files on disk; whether it runs, the worker finds out.
"""

from __future__ import annotations

import enum
import importlib
import importlib.metadata
import importlib.util
import logging
import platform
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from types import TracebackType
from typing import Any, TextIO

import slicer.util
from slicer.i18n import tr as _

from . import pytorchMessages as messages
from .pytorchMessages import MINIMUM, messageFor

__all__ = ["MINIMUM", "TorchKind", "TorchState", "TorchUnavailable", "ensureTorch", "messageFor", "torchState"]

FIRST_WITH_NUMPY_2 = (2, 3)
LOG_LINES = 200
_underWay = False


class TorchUnavailable(RuntimeError):
    """PyTorch can't be used; the text tells a user why, and what to do."""


class TorchKind(enum.Enum):
    """What stands on disk."""

    INSTALLED = "installed"
    MISSING = "missing"
    HALF_INSTALLED = "half installed"
    TOO_OLD = "too old"
    NUMPY_MISMATCH = "NumPy mismatch"


@dataclass(frozen=True)
class TorchState:
    """Which PyTorch there is.

    Attributes:
        kind: Whether it can be used, as far as files tell.
        version: Of the package, None where none is known.
    """

    kind: TorchKind
    version: str | None = None

    @property
    def usable(self) -> bool:
        """Whether nothing on disk speaks against it."""
        return self.kind is TorchKind.INSTALLED


def torchState(path: Sequence[str] | None = None) -> TorchState:
    """Which PyTorch the worker will find, read from the files on disk; nothing is imported.

    Args:
        path: The folders to look in, by default those of this Python, which the worker has as well.
    """
    folders = list(sys.path if path is None else path)
    package = _distribution("torch", folders)
    found = PathFinder.find_spec("torch", folders)
    if package is None and found is None:
        return TorchState(TorchKind.MISSING)
    version = _version(package)
    # A folder without __init__.py is found as well, as a namespace package. The record is written last. torchgen
    # comes with torch; without it torch doesn't start.
    complete = found is not None and found.has_location and PathFinder.find_spec("torchgen", folders) is not None
    if package is None or version is None or package.read_text("RECORD") is None or not complete:
        return TorchState(TorchKind.HALF_INSTALLED, version)
    if _numbers(version) < MINIMUM:
        return TorchState(TorchKind.TOO_OLD, version)
    if _numbers(version) < FIRST_WITH_NUMPY_2 and _hasNumPy2(folders):
        return TorchState(TorchKind.NUMPY_MISMATCH, version)
    return TorchState(TorchKind.INSTALLED, version)


def ensureTorch(ask: Callable[[str], bool] | None = None) -> None:
    """Install PyTorch if it is missing, after asking once.

    Call it on the main thread, when the user wants something computed; never when the module is opened. While pip
    runs Slicer processes events.

    Args:
        ask: Shows a question and tells whether the user agrees; by default Slicer's Ok/Cancel dialog.

    Raises:
        TorchUnavailable: It isn't there, or can't be used; the text is meant for the user.
    """
    global _underWay
    if _underWay:
        raise TorchUnavailable(messages.installing())
    state = torchState()
    if state.kind is TorchKind.MISSING:
        _underWay = True
        try:
            state = _install(ask or _askByDialog)
        finally:
            _underWay = False
    if not state.usable:
        raise TorchUnavailable(stateMessage(state))


def stateMessage(state: TorchState) -> str:
    """What to tell the user about a PyTorch that can't be used."""
    if state.kind is TorchKind.TOO_OLD:
        return messages.tooOld(state.version or _("an unknown version"))
    if state.kind is TorchKind.NUMPY_MISMATCH:
        return messages.numpyMismatch()
    return messages.halfInstalled() if state.kind is TorchKind.HALF_INSTALLED else messages.missing()


def _install(ask: Callable[[str], bool]) -> TorchState:
    """Ask, install, and tell what is there then."""
    try:
        import PyTorchUtils
    except ImportError as error:
        raise TorchUnavailable(messages.noExtension()) from error
    if messages.onIntelMac() and _hasNumPy2(sys.path):
        raise TorchUnavailable(messages.intelMac())
    if not ask(messages.installQuestion()):
        raise TorchUnavailable(messages.declined())
    failure: Exception | None = None
    with _Tail() as output, _torchNotImported():
        try:
            PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=False, torchVersionRequirement=torchRequirement()
            )
        except Exception as error:  # whatever pip, Slicer or the extension may raise: judged by what is on disk
            failure = error
    importlib.invalidate_caches()
    state = torchState()
    if state.usable:
        return state
    text = f"{output.text()}\n{type(failure).__name__}: {failure}" if failure else output.text()
    logging.error("PyTorch was not installed: %s", text)
    if state.kind is TorchKind.MISSING or failure is not None:
        raise TorchUnavailable(messages.installMessage(text)) from failure
    return state


def torchRequirement() -> str:
    """The version that is asked for, as pip has it."""
    lowest = f">={MINIMUM[0]}.{MINIMUM[1]}"
    # From 2.13 on, the wheel for Windows holds paths so long that they don't fit below Slicer's usual folder.
    return f"{lowest},<2.13" if platform.system() == "Windows" else lowest


def _askByDialog(question: str) -> bool:
    return bool(slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Install PyTorch")))


def _distribution(name: str, folders: list[str]) -> importlib.metadata.Distribution | None:
    return next(iter(importlib.metadata.distributions(name=name, path=folders)), None)


def _version(package: importlib.metadata.Distribution | None) -> str | None:
    """A package's version; None without a package, or where its metadata are gone or empty."""
    text = package.read_text("METADATA") if package is not None else None
    found = re.search(r"^Version: *(\S+)", text or "", re.MULTILINE)
    return found[1] if found else None


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version such as 2.10.0+cu128."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _hasNumPy2(folders: Sequence[str]) -> bool:
    version = _version(_distribution("numpy", list(folders)))
    return version is not None and _numbers(version) >= (2, 0)


@contextmanager
def _torchNotImported() -> Iterator[None]:
    """Make `import torch` fail meanwhile, unless it is loaded: the extension imports it after installing it."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if sys.modules.get("torch", 0) is None:
            del sys.modules["torch"]


class _Tail(logging.Handler):
    """The last lines that are printed or logged meanwhile: Slicer shows pip's output in one of both ways."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[str] = deque(maxlen=LOG_LINES)
        self._stdout: TextIO = sys.stdout

    def __enter__(self) -> _Tail:
        self._stdout, sys.stdout = sys.stdout, self  # type: ignore[assignment]
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self)
        sys.stdout = self._stdout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stdout, name)

    def write(self, text: str) -> int:
        """Print a text and keep it."""
        self._pieces.append(text)
        self._stdout.write(text)
        return len(text)

    def flush(self) -> None:
        """Both a handler's and a stream's."""
        self._stdout.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self._pieces.append(record.getMessage() + "\n")

    def text(self) -> str:
        """What was kept."""
        return "".join(self._pieces).strip()
