"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..image_io.files import FileError, reason

CASE_RECORD = "case.json"
"""Beside the files of a result in a batch: what it was made of (see :mod:`batch.record`)."""


class OutputError(ValueError):
    """Results that can't be written: the message names the place and says why."""


@contextmanager
def staged_folder(out: Path, *, ours: Callable[[str], bool], overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``out``, whose files are moved there at the end; after any error it is gone.

    It is made at once, so that a place where nothing can be written shows before the work, not after it.

    Args:
        out: The folder that is wanted. Missing folders above it are made.
        ours: Whether a file name is one that a result can have.
        overwrite: Replace the files of an earlier result in ``out``, all of them (what is no longer written is
            removed); other files stay. Otherwise a folder that isn't empty is an error.

    Raises:
        OutputError: ``out`` isn't empty, is a file, or can't be written; or the disk is full.
    """
    out = out.absolute()
    check_free(out, overwrite=overwrite)
    made = missing_folders(out.parent)
    temporary = out.parent / f".{out.name}.{secrets.token_hex(4)}.unfinished"
    finished = False
    try:
        with failing_as_output(out):
            temporary.mkdir(parents=True)
        yield temporary
        with failing_as_output(out):
            move_into(temporary, out, ours)
        finished = True
    except OutputError as error:
        raise OutputError(str(error).replace(str(temporary), str(out))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not finished:
            remove_empty(made)


def remove_unfinished(out: Path) -> bool:
    """Remove what an earlier :func:`staged_folder` or :func:`staged_file` left of ``out`` when it was killed.

    A process that still writes into such a folder fails: it gets another name first.

    Returns:
        Whether there was anything.
    """
    name, digits = re.escape(out.name), "[0-9a-f]{8}"
    pattern = re.compile(rf"\.{name}\.{digits}\.unfinished|\.unfinished\.{digits}\.{name}")
    found = [path for path in out.parent.glob(".*") if pattern.fullmatch(path.name)]
    for path in found:
        if path.is_file():
            path.unlink(missing_ok=True)
            continue
        doomed = path.with_name(f".{out.name}.{secrets.token_hex(4)}.unfinished")
        with suppress(OSError):
            path.replace(doomed)
        for leftover in (doomed, path):
            shutil.rmtree(leftover, ignore_errors=True)
    return bool(found)


@contextmanager
def staged_file(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary file name beside ``out``, with its extension, that becomes ``out`` at the end, or is gone."""
    out = out.absolute()
    if out.is_dir() or (out.exists() and not overwrite):
        msg = f"{out}: exists already; choose another name{'' if out.is_dir() else ' or use --overwrite'}"
        raise OutputError(msg)
    temporary = out.with_name(f".unfinished.{secrets.token_hex(4)}.{out.name}")
    try:
        with failing_as_output(out):
            temporary.touch(exist_ok=False)
        yield temporary
        with failing_as_output(out):
            temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def failing_as_output(out: Path) -> Iterator[None]:
    """Turn what goes wrong in writing into an :class:`OutputError` that names the place."""
    try:
        yield
    except FileError as error:
        raise OutputError(str(error)) from error
    except OSError as error:
        msg = f"{out}: the result can't be written ({error.strerror or reason(error)})"
        raise OutputError(msg) from error


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raise :class:`OutputError` where a result would meet files that are there already."""
    if out.exists() and not out.is_dir():
        msg = f"{out}: found a file, expected a folder for the results, or nothing"
        raise OutputError(msg)
    with failing_as_output(out):
        filled = out.is_dir() and any(out.iterdir())
    if filled and not overwrite:
        msg = f"{out}: the folder isn't empty; choose another one, or --overwrite to replace an earlier result in it"
        raise OutputError(msg)


def move_into(temporary: Path, out: Path, ours: Callable[[str], bool]) -> None:
    """Move the temporary folder to its place; where there is one already, its files into that."""
    if not out.exists():
        temporary.replace(out)
        return
    for old in out.iterdir():
        if ours(old.name) and (not old.is_dir() or old.is_symlink()):
            old.unlink()
    for path in temporary.iterdir():
        target = out / path.name
        if path.is_dir() and target.is_dir():
            move_into(path, target, lambda name: False)
        else:
            path.replace(target)


def missing_folders(folder: Path) -> list[Path]:
    """The folder and those above it that don't exist, innermost first."""
    found = []
    while not folder.exists():
        found.append(folder)
        folder = folder.parent
    return found


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove these folders again, innermost first, as far as they are empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
