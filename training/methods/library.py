"""Libraries that are compared with: only their extra brings them, so they are looked for when they are needed."""

from __future__ import annotations

from importlib import import_module, metadata
from types import ModuleType

from .method import MethodError

INSTALL = 'pip install -c constraints-benchmark.txt -e ".[train,benchmark]"'


def library(module: str, distribution: str) -> ModuleType:
    """An imported library.

    Args:
        module: What is imported.
        distribution: What is installed.

    Raises:
        MethodError: It isn't installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        msg = f"found no {distribution} ({error}), expected it installed: {INSTALL}"
        raise MethodError(msg) from error


def version(distribution: str) -> str | None:
    """The version of a library that is installed, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
