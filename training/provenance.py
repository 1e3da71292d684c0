"""Where weights come from, in words and numbers that go into their file. Files of weights get around: no folders."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import lightning.pytorch as pl
import LungDeepRegLib
import torch
import yaml
from lightning.pytorch.callbacks import WeightAveraging
from LungDeepRegLib.checkpoint import Provenance

CONFIG = "config.yaml"
"""Lightning's command line writes a run's whole configuration under this name into its log folder."""
PATH_IN_ARGUMENT = re.compile(r"(^|[=,\[])((?:~|[A-Za-z]:)?[/\\][^=,\[\]]*)")


def versions() -> Provenance:
    """The program's and its libraries'."""
    return {
        "program": f"LungDeepReg {LungDeepRegLib.__version__}",
        "torch": str(torch.__version__),
        "lightning": pl.__version__,
    }


def of_run(trainer: pl.Trainer, folder: Path) -> Provenance:
    """What a run is and how far it is.

    Args:
        trainer: Of the run.
        folder: Where its log and its configuration are.
    """
    seed = os.environ.get("PL_GLOBAL_SEED")
    return {
        **versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": trainer.global_step,
        "epochs": trainer.fit_loop.epoch_progress.current.ready,
        "averaged": any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks),  # type: ignore[attr-defined]
        **({} if seed is None else {"seed": int(seed)}),
        "device": device_name(trainer.strategy.root_device),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "command": command(sys.argv),
        **configuration(folder / CONFIG),
    }


def device_name(device: torch.device) -> str:
    """A graphics card's model, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def command(arguments: Sequence[str]) -> str:
    """A command line without folders, so that it tells no user's name; relative paths stay as they are."""
    return shlex.join(PATH_IN_ARGUMENT.sub(lambda found: found[1] + name_only(found[2]), word) for word in arguments)


def configuration(path: Path) -> Provenance:
    """A configuration file's text as ``config``, without folders and comments; nothing where there is no such file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return {"config": yaml.safe_dump(_without_folders(values), sort_keys=False)}


def _without_folders(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _without_folders(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_without_folders(value) for value in values]
    return name_only(values) if isinstance(values, str) else values


def name_only(text: str) -> str:
    """The last part of an absolute path; any other text as it is."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute() or text.startswith("~"):
            return kind(text).name
    return text
