"""What a benchmark ran on and with."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch
from LungDeepRegLib import __version__

from ..methods.library import version

LIBRARIES = ("torch", "numpy", "scipy", "SimpleITK", "antspyx", "itk-elastix", "convexadam")


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory, GPU and system; None for what can't be known."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gb": memory_gb(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str | None:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def memory_gb() -> float | None:
    """The machine's memory."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3, 1)
    except (AttributeError, ValueError, OSError):
        return None


def versions() -> dict[str, str]:
    """This program's, Python's and those of the libraries that are installed."""
    libraries = {name: version(name) for name in LIBRARIES}
    installed = {name: found for name, found in libraries.items() if found is not None}
    return {"LungDeepReg": __version__, "python": platform.python_version(), **installed}
