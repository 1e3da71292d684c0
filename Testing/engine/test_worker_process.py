"""The real worker process: its answers are the engine's own, and it ends when it should, whatever it is doing."""

import os
import signal
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from LungDeepRegLib.geometry import index_box
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.registration import STAGES as ENGINE_STAGES
from LungDeepRegLib.registration import Options, register
from LungDeepRegLib.results.images import stored
from LungDeepRegLib.results.outcomes import outcome
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.worker.client import Worker
from LungDeepRegLib.worker.messages import STAGES

from Testing.engine.worker_processes import (
    ENGINE,
    LAST,
    alive,
    answer_of,
    environment,
    events_until,
    further_tasks,
    gone_soon,
    launcher,
    outcome_of,
)

COARSE = {"voxel_budget": 50_000, "device": "auto"}
TASKS = """
def broken(request, progress):
    print("a library prints")
    os.write(1, b"straight to the descriptor")
    raise KeyError("nothing is right")
def too_large(request, progress):
    import numpy, torch
    return (torch.empty if request["torch"] else numpy.empty)(2**50)
def little_memory(request, progress):
    import resource
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 20_000_000, resource.RLIM_INFINITY))
    try:
        from LungDeepRegLib.worker.tasks import Tasks
        return Tasks({"cpu": "CPU"}).register(request, progress)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
def unwritable(request, progress):
    job = max(folder.glob("job-*"))
    (job / "answer").write_text("in the way")
    return []
def chatter(request, progress):
    for step in range(1001):
        progress("chatter", step / 1000)
        time.sleep(0.0005)
def large(request, progress):
    import numpy
    from LungDeepRegLib.volume import Volume
    return Volume(numpy.zeros((200, 512, 512)), numpy.eye(4))
TASKS = {
    "large": large, "broken": broken, "too_large": too_large, "little_memory": little_memory, "unwritable": unwritable,
    "chatter": chatter,
}
"""


@pytest.fixture(scope="module")
def pair():
    return make_pair(
        PhantomConfig(landmarks=4), chest_lattice(9.0), chest_lattice((9.0, 9.0, 1.2 * 9.0), (3.0, 5.0, -6.0))
    )


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """One process for all tests that don't end it."""
    folder = tmp_path_factory.mktemp("worker")
    made = Worker(further_tasks(folder / "python", TASKS), environment(), folder)
    made.start()
    events_until(made, "ready")
    yield made
    made.close()
    assert [path.name for path in folder.iterdir()] == ["python"]


@pytest.fixture(scope="module")
def registered(worker, pair):
    """A registration by the worker, and what it said meanwhile."""
    return answer_of(worker, "register", request_of(pair))


@pytest.fixture(autouse=True)
def one_thread():
    """As the worker has it: sums in another order differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def request_of(pair, **changes):
    masks = {"fixed_mask": None, "moving_mask": None}
    return {
        "fixed": pair.fixed, "moving": pair.moving, **masks, "options": COARSE, "weights": "bundled", **changes
    }  # fmt: skip


def assert_same_volume(found, expected):
    assert found.array.dtype == expected.array.dtype
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_array_equal(found.ijk_to_ras, expected.ijk_to_ras)
    assert found.name == expected.name


def assert_same_outcome(found, expected):
    np.testing.assert_array_equal(found.field.vectors, expected.field.vectors)
    np.testing.assert_array_equal(found.field.lattice.ijk_to_ras, expected.field.lattice.ijk_to_ras)
    for entry in fields(expected):
        ours, theirs = getattr(expected, entry.name), getattr(found, entry.name)
        if isinstance(ours, Volume):
            assert_same_volume(theirs, ours)
        elif ours is None:
            assert theirs is None
    passing = {"seconds", "seconds_total", "peak_memory_mb"}
    assert {k: v for k, v in found.summary.items() if k not in passing} == {
        k: v for k, v in expected.summary.items() if k not in passing
    }


def progress_of(events):
    return [(event.stage, event.fraction) for event in events if event.kind == "progress"]


class TestAnswers:
    def test_ready_says_what_there_is(self, worker):
        assert worker.ready["torch"] == torch.__version__
        assert worker.ready["threads"] == 1
        assert worker.ready["devices"]["cpu"] == "CPU"
        assert worker.ready["warnings"] == []

    def test_a_registration_is_the_engines_own(self, registered, pair):
        found, events = registered
        options = Options(voxel_budget=50_000, device="auto" if torch.cuda.is_available() else "cpu")
        ours = register(pair.fixed, pair.moving, options)
        given = {"fixed": False, "moving": False}
        expected = outcome(ours, pair.fixed, pair.moving, given=given, weights="bundled", started=0.0)
        assert_same_outcome(found, expected)
        assert found.warped.array.dtype == pair.moving.array.dtype
        assert found.summary["dice_after"] > found.summary["dice_before"]
        told = progress_of(events)
        assert list(dict.fromkeys(stage for stage, _ in told)) == list(STAGES["register"])
        for stage in STAGES["register"]:
            fractions = [fraction for name, fraction in told if name == stage]
            assert fractions == sorted(fractions)
            assert fractions[-1] == 1.0
            assert stage == "send" or fractions[0] == 0.0

    def test_the_stages_of_the_engine_are_among_those_announced(self):
        assert [stage for stage in STAGES["register"] if stage in ENGINE_STAGES] == list(ENGINE_STAGES)

    def test_masks_as_labels_on_other_voxels_and_no_network(self, worker, pair):
        lungs = [pair.fixed_mask.with_array((pair.fixed_mask.array == side).astype(np.uint8)) for side in (1, 2)]
        part = index_box(pair.fixed.lattice, np.array([2, 1, 3]), np.array([35, 27, 30]))
        cut = [Volume(lung.array[3:33, 1:28, 2:37], part.ijk_to_ras, "cut") for lung in lungs]
        settings = {**COARSE, "refine": "off", "alignment": "none"}
        request = request_of(
            pair, fixed_mask=cut, moving_mask=[pair.moving_mask], options=settings, weights="none"
        )  # fmt: skip
        found, _ = answer_of(worker, "register", request)
        inside = np.zeros(pair.fixed.array.shape, bool)
        inside[3:33, 1:28, 2:37] = pair.fixed_mask.array[3:33, 1:28, 2:37] > 0
        np.testing.assert_array_equal(found.fixed_lungs.array, inside)
        assert found.summary["masks"] == {"fixed": "given", "moving": "given"}
        assert found.summary["options"]["weights"] == "none"
        assert "no trained weights: the network was left out" in found.summary["warnings"]

    def test_warping_images_and_labels(self, worker, pair):
        phi = pair.displacement(chest_lattice(20.0))
        labels = pair.moving_mask.with_array(pair.moving_mask.array.astype(np.int64) * -1000)
        pet = replace(pair.moving, array=pair.moving.array.astype(">f4") / 3, name="PET")
        images = [{"volume": volume, "labels": volume is labels} for volume in (pair.moving, labels, pet)]
        found, _ = answer_of(worker, "warp", {"field": phi, "reference": pair.fixed.lattice, "images": images})
        ct, covered = phi.warp(pair.moving, pair.fixed.lattice, fill=-1024.0)
        nearest, _ = phi.warp(labels, pair.fixed.lattice, fill=0, mode="nearest")
        assert not covered.all()
        assert_same_volume(found[0]["warped"], stored(ct, np.dtype(np.int16)))
        assert_same_volume(found[1]["warped"], nearest)
        assert set(np.unique(found[1]["warped"].array)) == {0, -1000, -2000}
        assert found[2]["warped"].array.dtype.kind == "f"
        for one in found:
            np.testing.assert_array_equal(one["coverage"].array, covered.astype(np.uint8))

    def test_the_answer_of_one_job_goes_into_the_next(self, worker, pair, registered):
        found, _ = registered
        request = {"field": found.field, "reference": pair.fixed.lattice}
        again, _ = answer_of(worker, "warp", {**request, "images": [{"volume": pair.moving, "labels": False}]})
        np.testing.assert_array_equal(again[0]["warped"].array, found.warped.array)
        np.testing.assert_array_equal(again[0]["coverage"].array, found.coverage.array)

    def test_the_phantom(self, worker, pair):
        found, events = answer_of(worker, "phantom", {"seed": 0, "spacing": 9.0})
        for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
            assert_same_volume(found[name], getattr(pair, name))
        assert len(found["fixed_landmarks"]) == len(found["moving_landmarks"]) == 40
        assert list(dict.fromkeys(stage for stage, _ in progress_of(events))) == list(STAGES["phantom"])

    def test_jobs_share_one_process(self, worker):
        before = worker._process.pid
        answer_of(worker, "phantom", {"seed": 1, "spacing": 20.0})
        assert worker._process.pid == before
        assert not list(worker._process.folder.glob("job-*"))

    def test_progress_does_not_flood(self, worker):
        _, events = answer_of(worker, "chatter", {})
        told = [fraction for stage, fraction in progress_of(events) if stage == "chatter"]
        assert told[0] == 0.0
        assert told[-1] == 1.0
        assert len(told) < 100


class TestFailures:
    """Each leaves the process as it was: these tests share one."""

    def failed(self, worker, task, request):
        pid = worker._process.pid
        event, events = outcome_of(worker, task, request)
        assert event.kind == "failed", event
        assert worker._process.pid == pid
        return event, "\n".join(e.message for e in events if e.kind == "log")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"options": {**COARSE, "refine": "lots"}}, "found refine 'lots', expected one of"),
            ({"options": {"unknown": 1}}, "unknown"),
            ({"weights": "/nowhere/at all.pt"}, "/nowhere/at all.pt: could not read"),
            ({"fixed_mask": []}, "found an empty mask on the voxels of phantom exhale"),
            ({"moving": Volume(np.full((9, 9, 9), 7.0), np.eye(4), "größe")}, "größe: found the same value"),
        ],
        ids=["option", "no option", "weights", "mask", "image"],
    )
    def test_what_cannot_be_used_is_said_as_it_is(self, worker, pair, changes, words):
        event, log = self.failed(worker, "register", request_of(pair, **changes))
        assert event.reason == "input"
        assert words in event.message
        assert "Traceback" not in log

    def test_a_gpu_that_is_not_there(self, worker, pair):
        if "cuda" in worker.ready["devices"]:
            pytest.skip("needs a machine without a GPU")
        event, _ = self.failed(worker, "register", request_of(pair, options={"device": "cuda"}))
        assert event.reason == "input"
        assert "no GPU" in event.message

    def test_a_defect_names_the_error_and_logs_the_way_to_it(self, worker):
        event, log = self.failed(worker, "broken", {})
        assert (event.reason, event.message) == ("defect", "KeyError: 'nothing is right'")
        for line in ("a library prints", "straight to the descriptor", "Traceback", "in broken"):
            assert line in log

    def test_an_unknown_task(self, worker):
        assert self.failed(worker, "nonsense", {})[0].reason == "defect"

    @pytest.mark.parametrize("by_torch", [True, False])
    def test_not_enough_memory(self, worker, by_torch):
        event, _ = self.failed(worker, "too_large", {"torch": by_torch})
        assert event.reason == "memory"
        assert "enough memory" in event.message

    @pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
    def test_a_registration_in_little_memory(self, worker):
        full = make_pair(PhantomConfig(), chest_lattice(4.0), chest_lattice(4.0))
        event, _ = self.failed(worker, "little_memory", request_of(full, options={"device": "cpu"}))
        assert event.reason == "memory"
        answer_of(worker, "phantom", {"spacing": 20.0})  # the limit is gone, and the process alive

    def test_an_answer_that_cannot_be_written(self, worker):
        event, _ = self.failed(worker, "unwritable", {})
        assert event.reason == "input"
        assert str(worker._process.folder) in event.message


@pytest.mark.parametrize(
    ("library", "content"),
    [
        ("torch", ""),
        ("torch", "raise ImportError('numpy.core.multiarray failed to import')"),
        ("numpy", "raise ModuleNotFoundError('gone')"),
    ],
    ids=["half installed", "other numpy", "no numpy"],
)
def test_without_torch_it_says_why(tmp_path, library, content):
    (tmp_path / "broken" / library).mkdir(parents=True)
    (tmp_path / "broken" / library / "__init__.py").write_text(content)
    worker = Worker(environment=environment(tmp_path / "broken"), folder=tmp_path)
    event, _ = outcome_of(worker, "phantom", {})
    assert (event.kind, event.reason) == ("failed", "torch")
    assert ("Error: " + (content.split("'")[1] if content else "torch is only partly installed")) in event.message
    worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
class TestTheEnd:
    def test_cancel_at_every_stage_and_a_crash(self, pair, tmp_path):
        python = launcher(tmp_path / "launcher", further_tasks(tmp_path / "python", TASKS))
        worker = Worker(python, environment(), tmp_path)
        register = ("register", request_of(pair))
        for stage, job in (("send", register), ("align", register), ("refine", register), ("answer", ("large", {}))):
            worker.submit(*job)
            events_until(worker, "progress", told=lambda event, stage=stage: event.stage == stage)
            pids = worker._process.pid, worker._process.launched.pid
            worker.cancel()
            assert not worker.busy
            assert gone_soon(lambda pids=pids: any(map(alive, pids)))
        assert {event.kind for event in events_until(worker, "ready")} <= {"ready", "log"}
        answer_of(worker, "phantom", {"spacing": 20.0})
        folder = worker._process.folder
        assert gone_soon(lambda: worker.poll() or [path for path in tmp_path.glob("Lung*") if path != folder])

        crashing = worker.submit(*register)
        events_until(worker, "progress", told=lambda event: event.stage == "prepare")
        pids = worker._process.pid, worker._process.launched.pid
        assert pids[0] != pids[1]
        os.kill(pids[0], signal.SIGKILL)
        event = events_until(worker, *LAST)[-1]
        assert (event.kind, event.job) == ("ended", crashing)
        assert not worker.busy
        worker.close()
        assert not any(map(alive, pids))
        assert not list(tmp_path.glob("Lung*"))

    @pytest.mark.parametrize("stdin", ["None", "subprocess.DEVNULL"], ids=["input passed on", "input not passed on"])
    def test_a_face_that_crashes_takes_the_worker_along(self, tmp_path, stdin):
        python = launcher(tmp_path / "launcher", sys.executable, stdin)
        face = f"""
import sys, time
sys.path.insert(0, {str(ENGINE)!r})
from LungDeepRegLib.worker.client import Worker
worker = Worker({str(python)!r}, folder={str(tmp_path)!r})
worker.submit("phantom", {{"seed": 0}})
while True:
    for event in worker.poll():
        if event.stage == "phantom":
            print(worker._process.pid, flush=True)
    time.sleep(0.01)
"""
        crashing = subprocess.Popen(
            [sys.executable, "-c", face], env=environment(ENGINE), stdout=subprocess.PIPE, text=True
        )
        pid = int(crashing.stdout.readline())
        assert alive(pid)
        assert len(list(tmp_path.glob("Lung*"))) == 1
        crashing.kill()
        crashing.wait()
        assert gone_soon(lambda: alive(pid))
        assert not list(tmp_path.glob("Lung*"))
        crashing.stdout.close()
