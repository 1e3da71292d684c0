"""Starts the real 3D Slicer with a script of this folder, waits, prints the script's log, and exits as Slicer did.

    python Testing/slicer_application/launch.py run_self_test.py --slicer /path/to/Slicer

With ``--main-window`` Slicer shows its window and views, for which a screen and OpenGL 3.2 are needed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MODULE_FOLDER = FOLDER.parents[1] / "LungDeepReg"


def command(slicer: str, script: str, *, main_window: bool) -> list[str]:
    """Slicer's command line."""
    words = [slicer, "--no-splash", "--testing", "--ignore-slicerrc", "--additional-module-paths", str(MODULE_FOLDER)]
    if not main_window:
        words.append("--no-main-window")
    words += ["--python-script", str(FOLDER / script)]
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        words = [shutil.which("xvfb-run") or "xvfb-run", "--auto-servernum", *words]
    return words


def main() -> int:
    """Run Slicer; gives its exit code, or 1 where it didn't end in time or left no log."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("script", choices=["run_self_test.py", "install_extension.py"])
    parser.add_argument("--slicer", required=True, help="the application")
    parser.add_argument("--main-window", action="store_true")
    parser.add_argument("--pytorch", action="store_true", help="have PyTorch installed and the registration tested")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds")
    arguments = parser.parse_args()
    log = Path(os.environ.get("LUNGDEEPREG_LOG") or Path(tempfile.mkdtemp()) / "self_test.log")
    environment = {**os.environ, "LUNGDEEPREG_LOG": str(log), "LUNGDEEPREG_PYTORCH": str(int(arguments.pytorch))}
    try:
        words = command(arguments.slicer, arguments.script, main_window=arguments.main_window)
        code = subprocess.run(words, env=environment, timeout=arguments.timeout, check=False).returncode
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"Slicer did not end within {arguments.timeout:.0f} s\n")
        code = 1
    if arguments.script == "run_self_test.py":
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        sys.stdout.write(text or "Slicer ended before the self-test began\n")
        if not text:
            return code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
