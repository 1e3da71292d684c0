"""Batches on workers: real Dask clusters on this computer, whose processes are really killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import dask
import pytest
from LungDeepRegLib.batch.runner import run_batch
from LungDeepRegLib.batch.schedulers import LocalWorkers, RemoteWorkers, SchedulerError, local_cluster, one_by_one

from Testing.engine.batch_work import SETTINGS, begun, case_in, work

if os.name != "posix":
    pytest.skip("processes are killed otherwise on Windows", allow_module_level=True)

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from LungDeepRegLib.batch.runner import run_batch
from LungDeepRegLib.batch.schedulers import LocalWorkers
from Testing.engine.batch_work import SETTINGS, case_in, work
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    deeds = {path.name.removesuffix("_fixed.txt"): path.read_text() for path in sorted(folder.glob("*_fixed.txt"))}
    cases = [case_in(folder, name, deed) for name, deed in deeds.items()]
    run_batch(cases, folder / "out", SETTINGS, work, LocalWorkers(2))
"""


def soon(what, seconds=60):
    """What becomes true within a while."""
    limit = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)
    return found


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def footprints(folder):
    """When every file below a folder was last written, and which one it is."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_dead_workers_are_replaced_and_a_case_that_kills_its_worker_fails_alone(tmp_path):
    """Twenty cases: one is corrupt, one kills its worker each time, and one's worker is killed from outside."""
    names = [f"{n:02}" for n in range(20)]
    deeds = {**dict.fromkeys(names, "write"), "03": "fail", "05": "die", "10": "wait"}
    cases = [case_in(tmp_path, name, deed) for name, deed in deeds.items()]

    def kill_once():
        os.kill(soon(lambda: begun(tmp_path, "10"))[0], signal.SIGKILL)
        soon(lambda: len(begun(tmp_path, "10")) == 2)
        (tmp_path / "10_fixed.go").touch()

    killer = threading.Thread(target=kill_once)
    killer.start()
    answers = run_batch(cases, tmp_path / "out", SETTINGS, work, LocalWorkers(2))
    killer.join()
    failed = {case.name: answer.error for case, answer in zip(cases, answers, strict=True) if answer.error}
    assert failed == {
        "03": "manifest.csv, line 03: this one can't be done",
        "05": "manifest.csv, line 05: its worker died each time it was begun (out of memory, or killed)",
    }
    assert len(begun(tmp_path, "05")) == 3
    assert len(set(begun(tmp_path, "10"))) == 2
    # A failure leaves nothing on disk: if its worker dies before it is asked for the answer, the case is begun again.
    again = {name: len(begun(tmp_path, name)) for name in names if name not in ("03", "05", "10")}
    assert set(again.values()) == {1}, again
    assert len({begun(tmp_path, name)[0] for name in names}) >= 2
    expected = {*(set(names) - {"03", "05"}), "cases.csv", "cases.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_program_that_is_stopped_half_way_goes_on_where_it_was(number, tmp_path):
    names = [f"{n:02}" for n in range(8)]
    for name in names:
        case_in(tmp_path, name, "wait" if name in ("03", "04") else "write")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "LungDeepReg"), str(ROOT)])}
    script = tmp_path / "program.py"
    script.write_text(PROGRAM, encoding="utf-8")
    program = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    workers = soon(lambda: len(both := begun(tmp_path, "03") + begun(tmp_path, "04")) == 2 and both)
    out = tmp_path / "out"
    assert len(list(out.glob(".*.unfinished"))) == 2
    if number == signal.SIGKILL:
        program.kill()
    else:
        os.killpg(program.pid, number)  # as a terminal does
    assert program.wait(60) != 0
    soon(lambda: not any(map(alive, workers)))
    done = footprints(out / "00") | footprints(out / "01") | footprints(out / "02")
    assert len(done) == 9
    assert len(list(out.glob(".*.unfinished"))) == (2 if number == signal.SIGKILL else 0)
    for name in ("03", "04"):
        (tmp_path / f"{name}_fixed.go").touch()
    cases = [case_in(tmp_path, name, (tmp_path / f"{name}_fixed.txt").read_text()) for name in names]
    answers = run_batch(cases, out, SETTINGS, work, one_by_one)
    assert [answer.error for answer in answers] == [""] * 8
    assert [answer.earlier for answer in answers] == [True] * 3 + [False] * 5
    assert done.items() <= footprints(out).items()
    assert [len(begun(tmp_path, name)) for name in names] == [1, 1, 1, 2, 2, 1, 1, 1]
    assert not list(out.glob(".*"))


def test_workers_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr("LungDeepRegLib.batch.schedulers.cores", lambda: 8)
    cases = [case_in(tmp_path, name, "write") for name in ("a", "b")]
    run_batch(cases, tmp_path / "out", SETTINGS, work, LocalWorkers(5))  # there are two cases only
    assert (tmp_path / "out" / "a" / "result.txt").read_text() == "4 4"


def only_here(job, threads):
    """Work of a program that the workers don't have."""


def test_a_scheduler_by_its_address(tmp_path, monkeypatch):
    cases = [case_in(tmp_path, name, "write") for name in "abc"]
    module = ModuleType("not_installed")
    module.only_here, only_here.__module__ = only_here, module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with local_cluster(1, 1) as cluster:
        there = RemoteWorkers(cluster.scheduler_address)
        (lost,) = run_batch(cases[:1], tmp_path / "out", SETTINGS, only_here, there)
        answers = run_batch(cases, tmp_path / "out", SETTINGS, work, there)
    said = "its worker couldn't do it (ModuleNotFoundError: No module named 'not_installed'); it needs the same"
    assert lost.error == f"manifest.csv, line a: {said} LungDeepReg as here"
    assert [answer.error for answer in answers] == [""] * 3
    assert (tmp_path / "out" / "a" / "result.txt").read_text() == "1 1"  # the threads that Dask gave the worker


def test_a_scheduler_that_is_not_there_or_goes_away(tmp_path, monkeypatch):
    monkeypatch.setattr("LungDeepRegLib.batch.schedulers.CONNECT_SECONDS", 1)
    cases = [case_in(tmp_path, "a", "write"), case_in(tmp_path, "b", "wait")]
    with pytest.raises(SchedulerError, match=r"tcp://127.0.0.1:9: no Dask scheduler answers"):
        run_batch(cases, tmp_path / "out", SETTINGS, work, RemoteWorkers("tcp://127.0.0.1:9"))
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), local_cluster(1, 1) as cluster:

        def close():
            soon(lambda: begun(tmp_path, "b"))
            cluster.sync(cluster.scheduler.close)

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(SchedulerError, match="the Dask scheduler is gone"):
            run_batch(cases, tmp_path / "out", SETTINGS, work, RemoteWorkers(cluster.scheduler_address))
        closer.join()
    assert (tmp_path / "out" / "a" / "summary.json").exists()
    assert not list((tmp_path / "out").glob(".*"))
