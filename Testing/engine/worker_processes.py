"""Tools for tests of the worker: waiting for events, looking at processes, interpreters that misbehave."""

import os
import sys
import time
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "LungDeepReg"
PATIENCE_SECONDS = 120
LAST = ("done", "failed", "ended")


def events_until(worker, *kinds, told=lambda event: True):
    """All events up to the first of these kinds that the function agrees to."""
    events, deadline = [], time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for event in worker.poll():
            events.append(event)
            if event.kind in kinds and told(event):
                return events
        time.sleep(0.005)
    msg = f"waited in vain for {kinds}; so far: {events}"
    raise AssertionError(msg)


def outcome_of(worker, task, request):
    """The last event of a job, and all events."""
    job = worker.submit(task, request)
    events = events_until(worker, *LAST, told=lambda event: event.job == job)
    return events[-1], events


def answer_of(worker, task, request):
    event, events = outcome_of(worker, task, request)
    assert event.kind == "done", event
    return worker.read_answer(event), events


def alive(pid):
    """Whether a process runs; one that has ended and that nobody has asked for (a zombie) doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone_soon(condition, seconds=10):
    """Whether a condition stops to hold."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not condition()


def interpreter(path, body):
    """An executable that stands for the interpreter: ``body`` runs with ``folder``, the process' folder."""
    lines = [
        f"#!{sys.executable}",
        "import json, os, subprocess, sys, time",
        "from pathlib import Path",
        "folder = Path(sys.argv[3])",
        "def say(**message):",
        "    print(json.dumps(message), flush=True)",
        "def requests():",
        "    file = (folder / 'requests').open('a+')",
        "    file.seek(0)",
        "    while True:",
        "        line = file.readline()",
        "        if line.strip(): yield json.loads(line)",
        "        elif not line: time.sleep(0.005)",
        body,
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def further_tasks(path, body):
    """An interpreter that starts the real worker with the tasks in ``TASKS`` beside its own."""
    start = f"sys.path.insert(0, {str(ENGINE)!r})\nfrom LungDeepRegLib.worker.__main__ import main\n"
    return interpreter(path, f"{start}\n{body}\nsys.exit(main(folder, int(sys.argv[4]), TASKS))")


def launcher(path, python, stdin="None"):
    """An interpreter that, like PythonSlicer, starts another one as its child and waits for it."""
    return interpreter(path, f"sys.exit(subprocess.call([{str(python)!r}, *sys.argv[1:]], stdin={stdin}))")


def environment(*paths, **variables):
    """This process' environment with other folders for modules, and one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, paths)), **variables}
