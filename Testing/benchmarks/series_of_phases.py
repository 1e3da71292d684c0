"""Ten phases of a synthetic breath to the first one, killed half-way and resumed; motion curves against the truth.

Run by hand, some minutes:

    PYTHONPATH=LungDeepReg:. python -m Testing.benchmarks.series_of_phases

It must end with nine results, nothing done twice, and the curves of landmarks that were placed in the first phase.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from LungDeepRegLib.image_io import write_landmarks, write_volume
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice
from LungDeepRegLib.phantom.series import PhantomSeries


def footprints(out: Path) -> dict[Path, tuple[int, int]]:
    """Which file each one of the finished phases is, and when it was written."""
    files = (path for folder in out.glob("phase_*") for path in folder.iterdir())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def errors_mm(curves: Path, series: PhantomSeries) -> np.ndarray:
    """Distances of the curves' points from the truth, over landmarks and phases (but the reference)."""
    lines = [line for line in curves.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    start = series.landmarks(0).points_ras
    found = []
    for phase in range(1, series.count):
        here = [row for row in rows if row["phase"] == f"phase_{phase}"]
        points = np.array([[float(row[axis]) for axis in "ras"] for row in here])
        found.append(np.linalg.norm(points - series.phi(0, phase, start), axis=1))
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--phases", type=int, default=10)
    parser.add_argument("--voxels-mm", type=float, default=5.0)
    args = parser.parse_args()
    series = PhantomSeries(PhantomConfig(landmarks=20), args.phases, chest_lattice(args.voxels_mm))
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), Path(name) / "out"
        paths = [folder / f"phase_{phase}.nii.gz" for phase in range(args.phases)]
        for phase, path in enumerate(paths):
            write_volume(path, series.image(phase)[0])
        write_landmarks(folder / "vessels.mrk.json", series.landmarks(0))
        command = [sys.executable, "-m", "LungDeepRegLib", "series", *map(str, paths), "--reference", "0",
                   "--landmarks", str(folder / "vessels.mrk.json"), "--out", str(out)]  # fmt: skip
        program = subprocess.Popen(command)
        while len(list(out.glob("phase_*/summary.json"))) < args.phases // 2 or not list(out.glob(".*.unfinished")):
            if program.poll() is not None:
                sys.exit(f"ended too early with {program.returncode}")
            time.sleep(0.05)
        program.kill()
        program.wait()
        before = footprints(out)
        print(f"killed after {len(list(out.glob('phase_*/summary.json')))} phases", flush=True)
        code = subprocess.run(command, check=False).returncode
        after, errors = footprints(out), errors_mm(out / "motion_curves.csv", series)
        untouched = all(after[path] == found for path, found in before.items())
        still = np.concatenate([
            np.linalg.norm(series.phi(0, phase, (start := series.landmarks(0).points_ras)) - start, axis=1)
            for phase in range(1, args.phases)
        ])  # fmt: skip
        print(f"exit code {code}; {len(list(out.glob('phase_*/summary.json')))} results; untouched: {untouched}")
        print(f"motion: mean {still.mean():.2f} mm, max {still.max():.2f} mm;"
              f" error of the curves: mean {errors.mean():.2f} mm, max {errors.max():.2f} mm")  # fmt: skip
        if code or not untouched or len(list(out.glob("phase_*"))) != args.phases - 1 or list(out.glob(".*")):
            sys.exit("not as it must be")


if __name__ == "__main__":
    main()
