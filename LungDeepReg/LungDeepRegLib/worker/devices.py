"""What the worker computes on, and how much of the machine it takes."""

from __future__ import annotations

import os

import torch


def set_threads() -> int:
    """Use all cores but one, which is left for the face; fewer where OMP_NUM_THREADS says so. Returns how many."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, available - 1)
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if wanted.isdigit() and int(wanted) > 0:
        threads = min(threads, int(wanted))
    torch.set_num_threads(threads)
    return threads


def usable_devices() -> tuple[dict[str, str], list[str]]:
    """The devices that work here, with a name for people, and what should be said about those that don't.

    A GPU counts only if a convolution runs on it: PyTorch lists also those for which it holds no code.
    """
    devices = {"cpu": "CPU"}
    if not torch.cuda.is_available():
        return devices, []
    name = "GPU"
    try:
        name = torch.cuda.get_device_name(0)
        image = torch.ones(1, 1, 8, 8, 8, device="cuda")
        torch.nn.functional.conv3d(image, image[..., :3, :3, :3]).sum().item()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        return devices, [f"{name}: the installed PyTorch {torch.__version__} doesn't work with this GPU ({reason})"]
    devices["cuda"] = name
    return devices, []
