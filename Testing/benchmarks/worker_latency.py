"""How long a face waits for the worker, and how long the worker keeps it from drawing.

Run by hand, on a machine that does nothing else:

    PYTHONPATH=LungDeepReg:. OMP_NUM_THREADS=1 python Testing/benchmarks/worker_latency.py

It registers the demo's pair twice, then passes a pair of 512 x 512 x 300 voxels to and fro. Temporary files: 2 GB.
"""

import sys
import time

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import covering_lattice
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.worker.client import Worker

INTERVAL_SECONDS = 0.03
LARGE = (300, 512, 512)


class Watch:
    """Polls as a face's timer does, and keeps the longest call."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.longest = 0.0

    def until(self, *kinds: str, stage: str = "") -> list[tuple[float, object]]:
        """Events with their times up to one of these kinds (and this stage); stops the benchmark on a failure."""
        events, started = [], time.perf_counter()
        while True:
            before = time.perf_counter()
            news = self.worker.poll()
            self.longest = max(self.longest, time.perf_counter() - before)
            for event in news:
                events.append((time.perf_counter() - started, event))
                if event.kind in ("failed", "ended"):
                    sys.exit(event.message)
                if event.kind in kinds and event.stage == stage:
                    return events
            time.sleep(INTERVAL_SECONDS)


def timed(what: str, call):
    started = time.perf_counter()
    result = call()
    print(f"{what:<50}{time.perf_counter() - started:8.3f} s")
    return result


def register(watch: Watch, worker: Worker, which: str, request: dict) -> None:
    def run():
        worker.submit("register", request)
        return worker.read_answer(watch.until("done")[-1][1])

    outcome = timed(f"register, {which}", run)
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in outcome.summary["seconds"].items())
    print(f"    {parts}")


def small_pair(worker: Worker) -> None:
    watch = Watch(worker)
    worker.start()
    timed("start to ready", lambda: watch.until("ready"))
    worker.submit("phantom", {"seed": 0})
    pair = timed("phantom", lambda: worker.read_answer(watch.until("done")[-1][1]))
    request = {name: pair[name] for name in ("fixed", "moving")}
    for which in ("first", "second"):
        register(watch, worker, which, request)
    print(f"{'longest poll':<50}{watch.longest:8.3f} s")


def large_pair(worker: Worker) -> None:
    watch = Watch(worker)
    noise = np.random.default_rng(0).integers(-1000, 1000, LARGE, dtype=np.int16)
    fixed = Volume(noise, np.diag([0.7, 0.7, 1.0, 1.0]), "large")
    turned = Volume(noise.transpose(2, 1, 0).copy().transpose(2, 1, 0), fixed.ijk_to_ras, "large, not contiguous")
    for what, moving in (("in order", fixed), ("not contiguous", turned)):
        watch.longest = 0.0
        timed("submit", lambda moving=moving: worker.submit("register", {"fixed": fixed, "moving": moving}))
        timed(f"512 x 512 x 300 sent, {what}", lambda: watch.until("progress", stage="prepare"))
        timed("cancel", worker.cancel)
        watch.until("ready")
        print(f"{'longest poll':<50}{watch.longest:8.3f} s")
    watch.longest = 0.0
    lattice = covering_lattice(fixed.lattice, 20.0, 20.0)
    field = DisplacementField(np.ones((*lattice.shape, 3)), lattice)
    images = [{"volume": fixed, "labels": False}]
    worker.submit("warp", {"field": field, "reference": fixed.lattice, "images": images})
    event = timed("warp of 512 x 512 x 300", lambda: watch.until("done"))[-1][1]
    timed("read_answer", lambda: worker.read_answer(event))
    print(f"{'longest poll':<50}{watch.longest:8.3f} s")


def main() -> None:
    worker = Worker()
    try:
        small_pair(worker)
        large_pair(worker)
    finally:
        timed("close", worker.close)


if __name__ == "__main__":
    main()
