"""What a user is told where PyTorch is missing or fails: what is the matter, and what to click.

README's table "Troubleshooting" has one row for each, under its first sentence.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable

from slicer.i18n import tr as _

MINIMUM = (2, 2)
"""The oldest PyTorch that the engine is tested with."""


def installQuestion() -> str:
    """What is asked, once, before PyTorch is installed."""
    return _(
        "LungDeepReg computes with PyTorch, which is not installed in Slicer yet. Install it now?\n\n"
        'The extension "PyTorch" will download and install the Python packages torch and torchvision: about 250 MB on'
        " a computer without an NVIDIA GPU, 2 to 4 GB with one. This takes some minutes, in which Slicer may not"
        " respond, and is needed only once. Your images stay on this computer."
    )


def noExtension() -> str:
    """Slicer has no module PyTorchUtils."""
    return _(
        'The extension "PyTorch" is not installed. Open View > Extensions Manager, search for "PyTorch", install it,'
        ' restart Slicer and click "Register" again. For a computer without internet see "Offline installation" in'
        " LungDeepReg's README."
    )


def missing() -> str:
    """Nobody has been asked yet."""
    return _('PyTorch is not installed. Click "Register" to be asked whether to install it.')


def declined() -> str:
    """The user said no."""
    return _(
        "PyTorch was not installed, so nothing was computed. Click again to be asked again; nothing else was changed."
    )


def installing() -> str:
    """Asked for while it is under way."""
    return _("PyTorch is being installed. Wait until that has finished; the Python console shows how far it is.")


def halfInstalled() -> str:
    """Files of an installation that didn't finish."""
    return _("PyTorch is installed only in part. An earlier installation did not finish.") + " " + _reinstall()


def tooOld(version: str) -> str:
    """A version that the engine isn't tested with."""
    head = _("The installed PyTorch is too old (found {version}, expected {minimum} or later).")
    return head.format(version=version, minimum=".".join(map(str, MINIMUM))) + " " + _reinstall()


def numpyMismatch() -> str:
    """A PyTorch before 2.3 beside NumPy 2; on an Intel Mac there is no later one."""
    if onIntelMac():
        return intelMac()
    return (
        _("The installed PyTorch and Slicer's NumPy do not fit together. PyTorch before 2.3 needs NumPy 1.")
        + " "
        + _reinstall()
    )


def intelMac() -> str:
    """The last PyTorch for x86_64 Macs is 2.2, and Slicer brings NumPy 2."""
    return _(
        "For this build of Slicer there is no PyTorch that works with its NumPy 2. The last PyTorch for Macs with an"
        " Intel processor is 2.2, which needs NumPy 1; Slicer itself runs as an Intel program on other Macs, too."
        ' See "Mac" in the section "Troubleshooting" of LungDeepReg\'s README for the two ways out.'
    )


def onIntelMac() -> bool:
    """Whether this is an Intel program on a Mac, be it by Rosetta."""
    return platform.system() == "Darwin" and platform.machine() == "x86_64"


def longPath() -> str:
    """Windows' limit of 260 characters."""
    return _(
        "Windows could not write PyTorch's files, because their paths are too long. Uninstall PyTorch with the module"
        ' "PyTorch Utils", install Slicer into a short folder such as C:\\Slicer, or ask your IT department to enable'
        ' long paths, and click "Register" again.'
    )


def noInternet() -> str:
    """The package index isn't reached."""
    return _(
        "PyTorch could not be downloaded: the server was not reached. Check the internet connection and ask your IT"
        ' department whether a proxy is needed. For a computer without internet see "Offline installation" in'
        " LungDeepReg's README."
    )


def noSpace() -> str:
    """The disk is full."""
    return (
        _(
            "The disk is full. PyTorch needs about 1 GB, with an NVIDIA GPU up to 10 GB. Make room, also on"
            " the disk of temporary files."
        )
        + " "
        + _reinstall()
    )


def noPermission() -> str:
    """Slicer's folder can't be written, or files are in use."""
    return _(
        "PyTorch could not be written into Slicer's folder. Restart Slicer, since files may be in use, and click"
        ' "Register" again. If that does not help, Slicer is installed where you may not write: install it for'
        " yourself alone, or ask whoever installed it."
    )


def missingLibrary() -> str:
    """A DLL or shared library that torch needs can't be loaded."""
    return (
        _(
            "A system library that PyTorch needs could not be loaded. On Windows install the Microsoft Visual C++"
            " Redistributable (x64) first."
        )
        + " "
        + _reinstall()
    )


def littleMemory() -> str:
    """Windows has neither memory nor paging file left for torch's libraries."""
    return _(
        "The memory of this computer is not sufficient to start PyTorch. Close other programs, or have the size of"
        ' Windows\' paging file managed automatically, and click "Register" again.'
    )


def mixedVersions() -> str:
    """Parts of two versions."""
    return _("The files of PyTorch are of different versions.") + " " + _reinstall()


def gpuNotSupported() -> str:
    """The installed build has no code for this GPU."""
    return _(
        'The installed PyTorch does not support this GPU. Choose "CPU" as device under Advanced and click "Register"'
        ' again. To use the GPU: in the module "PyTorch Utils" click "Uninstall PyTorch", restart Slicer, choose the'
        ' highest "cu" number as computation backend (cu128 or higher for RTX 50xx) and click "Install PyTorch".'
    )


def driverTooOld() -> str:
    """The NVIDIA driver is older than the build of torch."""
    return _(
        "The NVIDIA driver is too old for the installed PyTorch. Update the driver, or choose"
        ' "CPU" as device under Advanced, and click "Register" again.'
    )


def gpuMemory() -> str:
    """Not enough memory on the GPU."""
    return _(
        'The memory of the GPU is not sufficient. Close other programs that use it, or choose "CPU" as device under'
        ' Advanced, and click "Register" again.'
    )


def installFailed(details: str) -> str:
    """Any other failure of the installation."""
    return (
        _("PyTorch could not be installed.") + " " + _reinstall() + "\n\n" + _("The last lines of the log:\n") + details
    )


def notStarted(details: str) -> str:
    """Any other failure to import it."""
    return _("PyTorch does not start.") + " " + _reinstall() + "\n\n" + _("The original message:\n") + details


def _reinstall() -> str:
    return _(
        'Open the module "PyTorch Utils", click "Uninstall PyTorch", then "Restart the application"; afterwards click'
        ' "Register" again to have PyTorch installed anew.'
    )


Known = tuple[tuple[str, Callable[[], str]], ...]

INSTALLING: Known = (
    (r"WinError 206|filename or extension is too long|path too long|enable long path", longPath),
    (r"No space left|WinError 112|not enough space", noSpace),
    (r"Permission denied|Access is denied|Read-only file system|WinError 5\b|WinError 32\b", noPermission),
    (r"Max retries|ConnectionError|NewConnectionError|ConnectTimeout|timed out|name resolution|getaddrinfo|SSLError"
     r"|CERTIFICATE|ProxyError|No matching distribution", noInternet),
)  # fmt: skip
"""What pip and Slicer print when an installation fails."""

STARTING: Known = (
    (r"_ARRAY_API not found|numpy\.core\.multiarray failed|Numpy is not available|compiled using NumPy 1",
     numpyMismatch),
    (r"No module named '?torchgen|No module named '?torch\.|'torch' has no attribute|No module named '?torch'?$"
     r"|cannot import name .* from '?torch", halfInstalled),
    (r"WinError 206", longPath),
    (r"undefined symbol|symbol not found|Symbol not found|procedure could not be found|WinError 127", mixedVersions),
    (r"WinError 1455|paging file is too small", littleMemory),
    (r"DLL load failed|WinError 126|WinError 1114|Error loading .*\.dll|cannot open shared object", missingLibrary),
)  # fmt: skip
"""What `import torch` says when it fails."""

COMPUTING: Known = (
    (r"no kernel image|is not compatible with the current PyTorch|not supported by this PyTorch|no longer supports"
     r"|sm_\d+", gpuNotSupported),
    (r"driver .*(too old|insufficient)|CUDA driver version is insufficient", driverTooOld),
    (r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED", gpuMemory),
)  # fmt: skip
"""What torch says when a GPU can't be used."""


def messageFor(reason: str, details: str) -> str:
    """What to tell the user about a failure that the worker reports.

    Args:
        reason: The worker's word for it; "torch" where PyTorch couldn't be imported.
        details: The original text of the error.
    """
    if reason != "torch":
        return known(COMPUTING, details) or details
    return known(COMPUTING + STARTING, details) or notStarted(details)


def installMessage(output: str) -> str:
    """What to tell the user about an installation that failed with this output of pip."""
    return known(INSTALLING + STARTING, output) or installFailed("\n".join(output.splitlines()[-5:]))


def known(messages: Known, details: str) -> str | None:
    """The message of the first pattern that is found in the text."""
    return next((text() for pattern, text in messages if re.search(pattern, details, re.MULTILINE)), None)
