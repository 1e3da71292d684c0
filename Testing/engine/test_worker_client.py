"""The face's side of the worker, with processes that say what a test wants: no job is lost, no process is left."""

import ctypes
import fcntl
import gc
import os
import signal
import subprocess
import sys
import time
import types
import unittest.mock
import weakref

import numpy as np
import pytest
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.worker import __main__ as worker_main
from LungDeepRegLib.worker import client
from LungDeepRegLib.worker.client import BLOCK_BYTES, Worker, WorkerBusyError
from LungDeepRegLib.worker.exchange import ExchangeError
from LungDeepRegLib.worker.messages import Event, GrowingFile, from_line
from LungDeepRegLib.worker.process import FORGOTTEN_SECONDS, clear_left_over, in_words

from Testing.engine.worker_processes import (
    ENGINE,
    LAST,
    alive,
    events_until,
    further_tasks,
    gone_soon,
    interpreter,
    launcher,
)

READY = 'say(event="ready", torch="2", threads=1, devices={"cpu": "CPU"}, warnings=[])'
ECHO = f"""
say(event="started", pid=os.getpid())
{READY}
for request in requests():
    job = Path(request["folder"])
    say(event="progress", job=request["job"], stage="echo", fraction=0.5)
    (job / "request").rename(job / "answer")
    say(event="done", job=request["job"])
"""
SMALL = {"volume": Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))}


@pytest.fixture
def worker_with(tmp_path):
    """A worker whose process does what a few lines say."""
    made = []

    def make(body, **options):
        place = tmp_path / "exchange"
        place.mkdir(exist_ok=True)
        python = interpreter(tmp_path / f"python{len(made)}", body)
        made.append(Worker(python, folder=place, **options))
        return made[-1]

    yield make
    for worker in made:
        worker.close()
    assert not list((tmp_path / "exchange").iterdir()), "files are left"


def test_the_client_works_without_torch():
    code = (
        f"import sys; sys.path.insert(0, {str(ENGINE)!r}); import LungDeepRegLib.worker.client;"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestJobs:
    def test_a_job_and_its_events(self, worker_with):
        worker = worker_with(ECHO)
        assert not worker.busy
        assert worker.poll() == []
        job = worker.submit("echo", SMALL)
        assert worker.busy
        assert worker.ready is None
        events = events_until(worker, "done")
        assert [event.kind for event in events if event.kind != "progress"] == ["ready", "done"]
        told = [(event.stage, event.fraction) for event in events if event.kind == "progress"]
        assert ("echo", 0.5) in told
        assert told[-1] == ("answer", 1.0)
        assert {event.job for event in events if event.kind != "ready"} == {job}
        assert worker.ready["devices"] == {"cpu": "CPU"}
        assert not worker.busy
        answer = worker.read_answer(events[-1])
        np.testing.assert_array_equal(answer["volume"].array, SMALL["volume"].array)
        assert not list(worker._process.folder.glob("job-*"))
        with pytest.raises(ExchangeError):
            worker.read_answer(events[-1])

    def test_one_at_a_time(self, worker_with):
        worker = worker_with(ECHO)
        first = worker.submit("echo", SMALL)
        with pytest.raises(WorkerBusyError, match="'echo' running"):
            worker.submit("another", SMALL)
        events_until(worker, "done")
        assert worker.submit("echo", SMALL) > first
        events_until(worker, "done")

    def test_blocks_are_bounded_and_events_come_meanwhile(self, worker_with):
        worker = worker_with("say(event='started', pid=os.getpid())\n" + READY + "\nfor request in requests(): pass")
        array = np.zeros((16, 1024, 1024), np.int16)[:, ::-1]
        worker.submit("echo", {"volume": Volume(array, np.eye(4))})
        written, sizes = 0, []
        while worker.busy and written < array.nbytes:
            events = worker.poll()
            now = sum(path.stat().st_size for path in worker._process.folder.rglob("*.raw"))
            sizes.append(now - written)
            written = now
            assert any(event.stage == "send" for event in events)
        assert max(sizes) <= BLOCK_BYTES
        assert sum(sizes) == array.nbytes

    def test_arrays_are_let_go_of_once_they_are_written(self, worker_with):
        worker = worker_with("say(event='started', pid=os.getpid())\n" + READY + "\nfor request in requests(): pass")
        array = np.zeros((50, 40, 30))
        gone = weakref.ref(array)
        worker.submit("echo", {"volume": Volume(array, np.eye(4))})
        del array
        assert gone() is not None
        events_until(worker, "progress", told=lambda event: event.fraction == 1)
        gc.collect()
        assert gone() is None

    def test_a_request_that_cannot_be_passed_leaves_the_worker_free(self, worker_with):
        worker = worker_with(ECHO)
        with pytest.raises(ExchangeError):
            worker.submit("echo", {"thing": object()})
        assert not worker.busy
        worker.submit("echo", SMALL)
        events_until(worker, "done")

    def test_failures_of_a_job_leave_the_process(self, worker_with):
        worker = worker_with(
            f"{READY}\nfor r in requests(): say(event='failed', job=r['job'], reason='input', message='größe')"
        )
        for _ in range(2):
            job = worker.submit("echo", SMALL)
            event = events_until(worker, *LAST)[-1]
            assert (event.kind, event.job, event.reason, event.message) == ("failed", job, "input", "größe")
            assert not worker.busy
            assert not list(worker._process.folder.glob("job-*"))

    @pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
    def test_a_full_disk_is_named(self, worker_with, monkeypatch):
        worker = worker_with(ECHO)
        job = worker.submit("echo", {"volume": Volume(np.zeros((99, 99, 99)), np.eye(4))})
        folder = worker._process.folder / f"job-{job}" / "request"
        folder.mkdir(parents=True)
        (folder / "0.raw").symlink_to("/dev/full")
        monkeypatch.setattr("pathlib.Path.mkdir", lambda *_, **__: None)
        event = events_until(worker, *LAST)[-1]
        assert (event.kind, event.reason) == ("failed", "input")
        assert str(folder.parent) in event.message
        assert "No space left" in event.message
        monkeypatch.undo()
        worker.submit("echo", SMALL)
        events_until(worker, "done")


class TestWhatTheProcessSays:
    def test_half_lines_wait_for_their_rest(self, tmp_path):
        path = tmp_path / "lines"
        path.write_bytes('{"a": 1}\nü half'.encode())
        file = GrowingFile(path)
        assert file.new_lines() == ['{"a": 1}']
        with path.open("ab") as more:
            more.write("ü".encode()[:1])
            more.flush()
            assert file.new_lines() == []
            more.write("ü".encode()[1:] + b" line\r\n\xff\n")
        assert file.new_lines() == ["ü halfü line", "\\xff"]
        assert file.new_lines() == []
        file.close()

    def test_long_output_is_read_in_parts(self, tmp_path):
        (tmp_path / "lines").write_bytes(b"x" * 79 + b"\n" + b"y\n" * 10**6)
        file = GrowingFile(tmp_path / "lines")
        counts = [len(file.new_lines()) for _ in range(20)]
        assert sum(counts) == 10**6 + 1
        assert max(counts) < 200_000
        file.close()

    @pytest.mark.parametrize("line", ["", "garbage", "{", "[1]", "3", '{"other": 1}', '"event"', "NaN"])
    def test_other_lines_are_no_messages(self, line):
        assert from_line(line) is None

    def test_garbage_goes_to_the_log(self, worker_with):
        worker = worker_with(f"print('launcher says hello', flush=True)\nprint('ohne Gewähr', file=sys.stderr)\n{ECHO}")
        worker.submit("echo", SMALL)
        events = events_until(worker, "done")
        log = "\n".join(event.message for event in events if event.kind == "log")
        assert "launcher says hello" in log
        assert "ohne Gewähr" in log

    def test_a_half_installed_torch_fails_the_job_and_a_later_one_starts_afresh(self, worker_with, tmp_path):
        failing = "say(event='failed', job=None, reason='torch', message='no torch'); sys.exit(1)"
        worker = worker_with(f"if not Path({str(tmp_path / 'installed')!r}).exists():\n    {failing}\n{ECHO}")
        job = worker.submit("echo", SMALL)
        event = events_until(worker, *LAST)[-1]
        assert (event.kind, event.job, event.reason, event.message) == ("failed", job, "torch", "no torch")
        assert not worker.busy
        time.sleep(0.05)
        assert worker.poll() == []  # its end isn't told again
        (tmp_path / "installed").touch()
        worker.submit("echo", SMALL)
        events_until(worker, "done")


class TestTheEnd:
    def test_no_such_interpreter(self, tmp_path):
        worker = Worker(tmp_path / "nowhere" / "python", folder=tmp_path)
        job = worker.submit("echo", SMALL)
        event = events_until(worker, *LAST)[-1]
        assert (event.kind, event.job, event.reason) == ("failed", job, "start")
        assert "nowhere" in event.message
        assert not worker.busy
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("body", ["os.kill(os.getpid(), 9)", "sys.exit(3)"], ids=["killed", "exit"])
    def test_a_crash_is_told_in_words_with_the_log(self, worker_with, body):
        crash = f"print('last words', file=sys.stderr, flush=True)\n    {body}"
        worker = worker_with(f"{READY}\nfor request in requests():\n    {crash}")
        job = worker.submit("echo", SMALL)
        event = events_until(worker, *LAST)[-1]
        assert (event.kind, event.job) == ("ended", job)
        assert ("out of memory" if "kill" in body else "exit code 3") in event.message
        assert event.message.endswith("last words")
        assert not worker.busy
        assert worker.ready is None
        worker.submit("echo", SMALL)
        assert "ready" in [event.kind for event in events_until(worker, "ended")], "a fresh one was started"

    def test_exit_codes_in_words(self):
        assert "SIGSEGV" in in_words(-signal.SIGSEGV)
        assert "SIGKILL" in in_words(128 + signal.SIGKILL)
        assert "code 1" in in_words(1)
        assert "0xc0000005" in in_words(0xC0000005)

    def test_cancel_kills_and_starts_a_fresh_one(self, worker_with):
        slow = "say(event='progress', job=r['job'], stage='slow', fraction=0.5); time.sleep(99)"
        worker = worker_with(f"say(event='started', pid=os.getpid())\n{READY}\nfor r in requests(): {slow}")
        for _ in range(2):
            job = worker.submit("echo", SMALL)
            events_until(worker, "progress", told=lambda event: event.stage == "slow")
            old = worker._process
            worker.cancel()
            assert not worker.busy
            assert worker._process is not old
            assert gone_soon(lambda pid=old.pid: alive(pid))
            events = events_until(worker, "ready")
            assert all(event.job != job for event in events)
        assert gone_soon(lambda: worker.poll() or old.folder.exists())

    def test_cancel_without_a_job_keeps_the_process(self, worker_with):
        worker = worker_with(ECHO)
        worker.start()
        events_until(worker, "ready")
        process = worker._process
        worker.cancel()
        worker.start()
        assert worker._process is process

    def test_what_was_said_before_a_cancel_is_not_heard_any_more(self, worker_with):
        worker = worker_with(ECHO)
        worker.submit("echo", SMALL)
        while not list(worker._process.folder.glob("job-*/answer")):
            worker._pass(worker._process, worker._job) if worker._job.passing else time.sleep(0.01)
        worker.cancel()
        assert events_until(worker, "ready")[-1].job is None

    @pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
    @pytest.mark.parametrize("listening", [True, False], ids=["polite", "deaf"])
    def test_a_launcher_and_its_child_both_end(self, tmp_path, listening):
        deaf = "time.sleep(99)"
        child = interpreter(tmp_path / "child", ECHO if listening else f"say(event='started', pid=os.getpid())\n{deaf}")
        worker = Worker(launcher(tmp_path / "launcher", child), folder=tmp_path)
        worker.start()
        assert gone_soon(lambda: worker.poll() is not None and worker._process.pid == worker._process.launched.pid)
        pids = worker._process.pid, worker._process.launched.pid
        assert all(map(alive, pids))
        worker.close()
        assert gone_soon(lambda: any(map(alive, pids)))

    @pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
    def test_a_child_that_has_not_told_its_number_yet_ends_too(self, tmp_path):
        body = "(folder.parent / 'pid').write_text(str(os.getpid()))\ntime.sleep(0.5)"
        child = further_tasks(tmp_path / "child", f"{body}\nTASKS = {{}}")
        worker = Worker(launcher(tmp_path / "launcher", child, "subprocess.DEVNULL"), folder=tmp_path)
        worker.start()
        assert gone_soon(lambda: not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text())
        pid = int((tmp_path / "pid").read_text())
        worker.close()
        assert alive(pid)
        assert gone_soon(lambda: alive(pid))

    def test_a_request_is_understood_after_one_that_was_cut_off(self, worker_with):
        lines = "for line in iter(lambda: file.readline() or time.sleep(0.005) or '-', ''):\n"
        body = lines + "    if line.endswith('}\\n'): say(event='failed', job=1, reason='input', message=line)"
        worker = worker_with(f"{READY}\nfile = (folder / 'requests').open('a+')\nfile.seek(0)\n{body}")
        worker.start()
        worker._process.requests.write(b'{"event": "jo')
        worker.submit("echo", SMALL)
        assert events_until(worker, "failed")[-1].message.startswith('{"event": "job"')

    @pytest.mark.skipif(sys.platform == "win32", reason="there it is the open file that counts")
    def test_only_folders_whose_face_is_gone_are_cleared(self, tmp_path):
        for name in ("LungDeepReg-gone", "LungDeepReg-used", "LungDeepReg-new", "LungDeepReg-synthetic-pair-1"):
            (tmp_path / name / "job-1").mkdir(parents=True)
            for file in ("messages", "requests", "job-1/0.raw"):
                (tmp_path / name / file).write_text("")
            if not name.endswith("new"):
                os.utime(tmp_path / name / "messages", (time.time() - 2 * FORGOTTEN_SECONDS,) * 2)
        (tmp_path / "LungDeepReg-synthetic-pair-1" / "messages").unlink()
        with (tmp_path / "LungDeepReg-used" / "requests").open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            clear_left_over(tmp_path)
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == ["LungDeepReg-new", "LungDeepReg-synthetic-pair-1", "LungDeepReg-used"]

    @pytest.mark.skipif(sys.platform == "win32", reason="there it is the open file that counts")
    def test_a_worker_in_use_shows_that_it_is(self, worker_with):
        worker = worker_with(ECHO)
        worker.start()
        folder = worker._process.folder
        os.utime(folder / "messages", (0, 0))
        clear_left_over(folder.parent)
        assert folder.exists()

    @pytest.mark.parametrize(("code", "ends"), [(87, True), (5, False)], ids=["no such process", "not allowed to look"])
    def test_on_windows_a_face_that_went_before_it_was_looked_for(self, monkeypatch, code, ends):
        kernel = types.SimpleNamespace(OpenProcess=unittest.mock.Mock(return_value=None))
        monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: kernel, raising=False)
        monkeypatch.setattr(ctypes, "get_last_error", lambda: code, raising=False)
        ended = []
        monkeypatch.setattr(worker_main, "end", ended.append)
        monkeypatch.setattr(sys, "platform", "win32")
        worker_main.end_with_face(1234, "folder")
        assert ended == (["folder"] if ends else [])

    @pytest.mark.skipif(sys.platform == "win32", reason="there it has a console of its own")
    def test_what_ends_a_whole_terminal_does_not_end_it_at_once(self, worker_with):
        worker = worker_with(ECHO)
        worker.start()
        assert os.getpgid(worker._process.pid) != os.getpgid(0)

    def test_a_pid_is_not_killed_once_the_process_has_ended(self, worker_with, monkeypatch):
        worker = worker_with("say(event='started', pid=1)\nsys.exit(0)")
        worker.start()
        worker._process.launched.wait()
        killed = []
        monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
        worker.close()
        assert not killed

    def test_a_process_that_died_with_nothing_to_do_is_replaced(self, worker_with):
        worker = worker_with(ECHO)
        worker.start()
        events_until(worker, "ready")
        worker._process.launched.kill()
        worker._process.launched.wait()
        job = worker.submit("echo", SMALL)
        assert events_until(worker, *LAST)[-1] == Event("done", job)

    def test_an_answer_is_read_although_the_process_dies_after_it(self, worker_with, monkeypatch):
        monkeypatch.setattr(client, "BLOCK_SECONDS", 0.002)  # too short for 80 MB, however fast the machine
        worker = worker_with(ECHO + "    sys.exit(1)")
        large = {"volume": Volume(np.arange(20 * 2**20, dtype=np.int32).reshape(-1, 4, 1024), np.eye(4))}
        worker.submit("echo", large)
        events = events_until(worker, *LAST)
        fractions = [event.fraction for event in events if event.stage == "answer"]
        assert fractions == sorted(fractions)
        assert len(fractions) > 1
        np.testing.assert_array_equal(worker.read_answer(events[-1])["volume"].array, large["volume"].array)
        assert events_until(worker, "ended")[-1].job is None

    def test_close_may_come_at_any_time_and_more_than_once(self, worker_with):
        worker = worker_with(ECHO)
        worker.close()
        worker.start()
        worker.close()
        worker.close()
        worker.submit("echo", SMALL)
        worker.close()
        assert not worker.busy
        assert worker.poll() == []
        worker.submit("echo", SMALL)
        events_until(worker, "done")
