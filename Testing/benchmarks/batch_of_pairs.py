"""A batch of 20 synthetic pairs with a corrupt one on two workers: a worker is killed half-way, then the whole program.

Run by hand; 20 small registrations take some minutes, and ``--voxels-mm`` makes the images larger:

    PYTHONPATH=LungDeepReg:. python -m Testing.benchmarks.batch_of_pairs

It must end with 19 results, one error that names line and file, exit code 6, and nothing done twice.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from LungDeepRegLib.image_io import write_landmarks, write_volume
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair

HEADER = "case,fixed,moving,fixed_mask,moving_mask,fixed_landmarks,moving_landmarks"
CORRUPT = 7
SOME_FAILED = 6


def make_study(folder: Path, count: int, voxels_mm: float) -> Path:
    """Pairs of different chests, one file of them cut off."""
    lines = [HEADER]
    for number in range(1, count + 1):
        pair = make_pair(PhantomConfig(seed=number, landmarks=20), chest_lattice(voxels_mm), chest_lattice(voxels_mm))
        names = []
        for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
            names.append(f"{number:02}_{name}.nii.gz")
            write_volume(folder / names[-1], getattr(pair, name))
        for name in ("fixed_landmarks", "moving_landmarks"):
            names.append(f"{number:02}_{name}.mrk.json")
            write_landmarks(folder / names[-1], getattr(pair, name))
        lines.append(",".join([f"P{number:02}", *names]))
    bad = folder / f"{CORRUPT:02}_moving.nii.gz"
    bad.write_bytes(bad.read_bytes()[:5000])
    manifest = folder / "study.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def started(manifest: Path, out: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "LungDeepRegLib", "batch", str(manifest), "--out", str(out), *options]
    return subprocess.Popen(command, start_new_session=True)


def finished(out: Path) -> list[Path]:
    return sorted(out.glob("P*/summary.json"))


def footprints(out: Path) -> dict[Path, tuple[int, int]]:
    """Which file each one of the finished cases is, and when it was written."""
    files = (path for folder in out.glob("P*") for path in folder.iterdir())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def until(out: Path, count: int, program: subprocess.Popen) -> None:
    """Wait for so many finished cases and a case that is being registered."""
    while len(finished(out)) < count or not list(out.glob(".P*.unfinished")):
        if program.poll() is not None:
            sys.exit(f"ended too early with {program.returncode}")
        time.sleep(0.05)


def workers_of(program: subprocess.Popen) -> list[int]:
    """Its worker processes (Linux)."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(program.pid)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--voxels-mm", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    options = ("--workers", str(args.workers))
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), Path(name) / "out"
        manifest = make_study(folder, args.count, args.voxels_mm)
        begun = time.perf_counter()
        program = started(manifest, out, *options)
        until(out, args.count // 4, program)
        victim = workers_of(program)[0]
        os.kill(victim, signal.SIGKILL)
        print(f"killed a worker after {len(finished(out))} cases", flush=True)
        until(out, args.count // 2, program)
        program.kill()
        program.wait()
        time.sleep(3)  # the workers end when they see it
        before, leftovers = footprints(out), len(list(out.glob(".P*.unfinished")))
        print(f"killed the program after {len(finished(out))} cases, {leftovers} begun", flush=True)
        code = started(manifest, out, *options).wait()
        seconds = time.perf_counter() - begun
        after = footprints(out)
        untouched = all(after[path] == found for path, found in before.items())
        rows = json.loads((out / "cases.json").read_text(encoding="utf-8"))
        failed = [row["error"] for row in rows if row["status"] != "done"]
        print(
            f"{seconds:.0f} s in all; exit code {code}; {len(finished(out))} results; untouched: {untouched}; {failed}"
        )
        done_right = len(finished(out)) == args.count - 1 and len(failed) == 1 and f"line {CORRUPT + 1}: " in failed[0]
        if code != SOME_FAILED or not untouched or not done_right or list(out.glob(".*")):
            sys.exit("not as it must be")


if __name__ == "__main__":
    main()
