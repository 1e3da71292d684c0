"""How long a user waits, from the click on Register to the result in the scene, and for how long Slicer doesn't answer.

Opens the module in the tests' stand-ins of Slicer's application (real panel, scene and worker process), chooses a pair
and clicks, twice: the second time the worker is there already. Then once more for each stage, canceled as it begins.

    python -m Testing.benchmarks.click_to_result                          # the demo's synthetic pair
    python -m Testing.benchmarks.click_to_result --fixed a.mha --moving b.mha
    python -m Testing.benchmarks.click_to_result --voxels 512 512 300     # a random texture: for the handing over
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import slicer
from LungDeepRegLib.image_io import read_volume
from LungDeepRegLib.mrml import node_from_volume
from LungDeepRegLib.phantom import PhantomConfig, make_pair
from LungDeepRegLib.volume import Volume

from Testing.slicer.gui import Session, choose, click
from Testing.slicer.scene import start_application
from Testing.slicer.standins.install import installed
from Testing.slicer.standins.qt_module import qt

MODULE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"
STAGES = ("send", "prepare", "align", "network", "refine", "warp", "measure")


class Watch:
    """Lets Qt run and measures the longest time in which it didn't answer, publishing apart."""

    def __init__(self, runner) -> None:
        self.longest = self.publishing = 0.0
        self._finish, runner._finish = runner._finish, self._timed_finish
        self._published = False

    def _timed_finish(self, event) -> None:
        start = time.perf_counter()
        self._finish(event)
        self.publishing, self._published = time.perf_counter() - start, True

    def until(self, condition) -> float:
        """Seconds until a condition holds."""
        start = time.perf_counter()
        while not condition():
            before, self._published = time.perf_counter(), False
            qt.QApplication.processEvents()
            if not self._published:
                self.longest = max(self.longest, time.perf_counter() - before)
            time.sleep(0.001)
        return time.perf_counter() - start


def main() -> None:
    """Measure, and print a table."""
    args = arguments()
    fixed, moving = images(args)
    with tempfile.TemporaryDirectory() as folder:
        started = start_application(Path(folder) / "slicer")
        with installed(started, Path(folder) / "settings") as app:
            session = Session(started, app)
            panel = session.open_module(MODULE).register
            nodes = [node_from_volume(image, slicer.mrmlScene) for image in (fixed, moving)]
            choose(panel.ui.fixedVolumeSelector, nodes[0])
            choose(panel.ui.movingVolumeSelector, nodes[1])
            shape = "x".join(str(n) for n in fixed.array.shape[::-1])
            print(f"{fixed.name}: {shape} voxels, {os.cpu_count()} cores")
            registrations(panel)
            cancellations(panel)
            session.close()


def registrations(panel) -> None:
    """The first and the second click."""
    for name in ("first", "second"):
        watch = Watch(panel.logic.runner)
        start = time.perf_counter()
        click(panel.ui.registerButton)
        clicked = time.perf_counter() - start
        seconds = clicked + watch.until(lambda: not panel.logic.busy)
        print(
            f"{name} registration: {seconds:.1f} s; the click {clicked * 1000:.0f} ms, longest without an answer"
            f" {watch.longest * 1000:.0f} ms, publishing {watch.publishing * 1000:.0f} ms"
        )


def cancellations(panel) -> None:
    """Cancel as each stage begins: until the button is back, and until the process is gone."""
    show = panel.showProgress
    for stage in STAGES:
        reached = []

        def note(name, fraction, reached=reached, stage=stage):
            show(name, fraction)
            if name == stage:
                reached.append(name)

        panel.showProgress = note
        click(panel.ui.registerButton)
        Watch(panel.logic.runner).until(lambda reached=reached: reached)
        process = panel.logic.runner._worker._process.launched
        start = time.perf_counter()
        panel.ui.registerButton.click()
        button = time.perf_counter() - start
        assert panel.ui.registerButton.text == "Register"
        process.wait(10)
        gone = time.perf_counter() - start
        print(f"canceled in {stage}: button {button * 1000:.0f} ms, process gone after {gone * 1000:.0f} ms")
        watch = Watch(panel.logic.runner)
        watch.until(lambda: panel.logic.runner.ready)


def images(args) -> tuple[Volume, Volume]:
    """The pair that is asked for."""
    if args.fixed:
        return read_volume(args.fixed), read_volume(args.moving)
    if args.voxels:
        noise = np.random.default_rng(0).integers(-1000, 300, tuple(n // 4 + 1 for n in args.voxels[::-1]), np.int16)
        large = noise.repeat(4, 0).repeat(4, 1).repeat(4, 2)[tuple(slice(n) for n in args.voxels[::-1])]
        matrix = np.diag([0.7, 0.7, 1.0, 1.0])
        return Volume(np.ascontiguousarray(large), matrix, "texture"), Volume(large.copy(), matrix, "texture again")
    phantom = make_pair(PhantomConfig())
    return phantom.fixed, phantom.moving


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed", type=Path)
    parser.add_argument("--moving", type=Path)
    parser.add_argument("--voxels", type=int, nargs=3, metavar=("I", "J", "K"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
