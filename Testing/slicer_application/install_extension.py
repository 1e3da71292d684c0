"""Installs the extension PyTorch from Slicer's server; run by Slicer, see launch.py. It is there at the next start."""

import traceback

import slicer

code = 1
try:
    manager = slicer.app.extensionsManagerModel()
    manager.interactive = False
    code = 0 if manager.installExtensionFromServer("PyTorch", False) else 1
except Exception:
    traceback.print_exc()
finally:
    slicer.util.exit(code)
