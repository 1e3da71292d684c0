"""What the worker computes on: never all cores, never a GPU that doesn't work."""

import os
import queue
import threading

import pytest
import torch
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
from LungDeepRegLib.registration import Options, RegistrationError
from LungDeepRegLib.worker import devices, exchange, server
from LungDeepRegLib.worker.server import reason_of
from LungDeepRegLib.worker.tasks import RequestError, Tasks


@pytest.fixture
def set_to(monkeypatch):
    """The number of threads that torch was told, without telling it."""
    told = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    return told


@pytest.mark.parametrize(
    ("cores", "wanted", "threads"),
    [(8, None, 7), (1, None, 1), (2, None, 1), (8, "3", 3), (4, "16", 3), (4, "2,4", 2), (4, "many", 3), (4, "0", 3)],
)
def test_a_core_is_left_and_fewer_threads_are_honoured(monkeypatch, set_to, cores, wanted, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if wanted is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert devices.set_threads() == threads
    assert set_to == [threads]


def test_where_the_system_tells_no_affinity(monkeypatch, set_to):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert devices.set_threads() == 5


def test_a_gpu_that_pytorch_holds_no_code_for_is_not_offered(monkeypatch):
    def no_code(*args, **kwargs):
        msg = "CUDA error: no kernel image is available for execution on the device\nand more"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA Future 9000")
    monkeypatch.setattr(torch, "ones", no_code)
    found, warnings = devices.usable_devices()
    assert found == {"cpu": "CPU"}
    assert len(warnings) == 1
    assert warnings[0].startswith(f"NVIDIA Future 9000: the installed PyTorch {torch.__version__} doesn't work")
    assert "no kernel image" in warnings[0]
    assert "\n" not in warnings[0]


def test_a_gpu_that_does_not_even_start_leaves_the_cpu(monkeypatch):
    def unknown(_):
        msg = "CUDA unknown error - this may be due to an incorrectly set up environment"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", unknown)
    found, warnings = devices.usable_devices()
    assert found == {"cpu": "CPU"}
    assert "CUDA unknown error" in warnings[0]


def serving(monkeypatch, folder, seconds=None):
    """The exit code of the loop after at most one request, and what it said."""
    requests, said = queue.SimpleQueue(), []
    monkeypatch.setattr(server, "usable_devices", lambda: ({"cpu": "CPU", "cuda": "GPU"}, []))
    monkeypatch.setattr(server, "IDLE_SECONDS_ON_GPU", 0.1)
    if seconds is not None:
        threading.Timer(seconds, requests.put, [{"job": 1, "task": "nothing", "folder": str(folder / "job-1")}]).start()
    return server.serve(requests, said.append, {"nothing": lambda request, progress: None}, folder), said


def test_a_gpu_that_failed_ends_the_process_after_the_answer(monkeypatch, set_to, tmp_path):
    def failed():
        msg = "CUDA error: unspecified launch failure"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", failed)
    exchange.save({}, tmp_path / "job-1" / "request")
    code, said = serving(monkeypatch, tmp_path, 0)
    assert code == 1
    assert said[-1] == {"event": "done", "job": 1}


def test_an_idle_process_waits_for_a_request_that_is_being_written(monkeypatch, set_to, tmp_path):
    assert serving(monkeypatch, tmp_path)[0] == 0
    exchange.save({}, tmp_path / "job-1" / "request")
    assert {"event": "done", "job": 1} in serving(monkeypatch, tmp_path, 0.5)[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_that_works_is_offered_by_name():
    assert devices.usable_devices() == ({"cpu": "CPU", "cuda": torch.cuda.get_device_name(0)}, [])


def register_a_little(tasks, device):
    """The outcome of a coarse phantom, without network and refinement."""
    pair = make_pair(PhantomConfig(), chest_lattice(12.0), chest_lattice(12.0))
    options = {"device": device, "refine": "off", "voxel_budget": 50_000}
    request = {"fixed": pair.fixed, "moving": pair.moving, "options": options, "weights": "none"}
    return tasks.register(request, lambda stage, fraction: None)


class TestSettings:
    def test_auto_takes_only_what_works(self):
        assert Tasks({"cpu": "CPU"}).options({}).device == "cpu"
        assert Tasks({"cpu": "CPU", "cuda": "a GPU"}).options({}).device == "auto"
        assert Tasks({"cpu": "CPU", "cuda": "a GPU"}).options({"device": "cuda"}) == Options(device="cuda")

    def test_why_a_gpu_does_not_work_is_told(self):
        tasks = Tasks({"cpu": "CPU"}, ["NVIDIA X: no kernel image is available"])
        with pytest.raises(RegistrationError, match="no kernel image"):
            tasks.options({"device": "cuda"})
        shown = [register_a_little(tasks, device).summary["warnings"] for device in ("auto", "cpu")]
        assert [any("no kernel image" in warning for warning in warnings) for warnings in shown] == [True, False]

    def test_what_does_not_work_is_refused(self):
        with pytest.raises(RegistrationError, match="no GPU"):
            Tasks({"cpu": "CPU"}).options({"device": "cuda"})
        for values in ({"similarity": "magic"}, {"voxel_budget": 1}, {"colour": "red"}):
            with pytest.raises(RequestError):
                Tasks({"cpu": "CPU"}).options(values)


def test_weights_are_read_once_until_the_file_changes(tmp_path):
    from LungDeepRegLib.checkpoint import BUNDLED

    tasks, copy = Tasks({"cpu": "CPU"}), tmp_path / "größe.pt"
    copy.write_bytes(BUNDLED.read_bytes())
    first = tasks.checkpoint(str(copy))
    assert tasks.checkpoint(str(copy)) is first
    assert tasks.checkpoint("bundled") is tasks.checkpoint("bundled") is not first
    assert tasks.checkpoint("none") is None
    os.utime(copy, ns=(1, 1))
    assert tasks.checkpoint(str(copy)) is not first


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "defect"),
        (ValueError("operands could not be broadcast"), "defect"),
        (RegistrationError("no overlap"), "input"),
        (RequestError("unknown"), "input"),
        (OSError(28, "No space left on device", "/tmp/x"), "input"),
    ],
)
def test_errors_and_whom_they_concern(error, reason):
    assert reason_of(error) == reason
