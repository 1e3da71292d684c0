"""Both CMakeLists, run by CMake against a stand-in of Slicer: what would be packaged, and whether that is enough."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).parent / "slicer"
LEFT_OUT = ("__pycache__", ".")
"""How names of files begin that Python and its tools leave in the tree."""

pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")


def configure(source: Path, build: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run CMake; nothing is compiled, so no compiler is looked for."""
    no_compiler = [
        f"-DCMAKE_{language}_COMPILER{rest}"
        for language in ("C", "CXX")
        for rest in (f"={sys.executable}", "_FORCED=ON", "_ID_RUN=ON")
    ]
    arguments = ["-G", "Unix Makefiles", f"-DSlicer_DIR={STAND_IN}", *no_compiler, *options]
    return subprocess.run(
        ["cmake", "-S", str(source), "-B", str(build), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    done = configure(ROOT, folder, "-DBUILD_TESTING=ON")
    assert done.returncode == 0, done.stderr
    assert (folder / "packaged.txt").exists()
    return folder


@pytest.fixture
def copy(tmp_path) -> Path:
    """The extension's sources, to be damaged."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "LungDeepReg", source / "LungDeepReg", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "CMakeLists.txt", source)
    return source


def test_cmake_is_not_asked_for_newer_than_debian_12_has():
    first = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8").splitlines()[0]
    lowest = first.partition("VERSION ")[2].partition("...")[0]
    assert tuple(int(part) for part in lowest.split(".")) <= (3, 25)


def test_the_extension_describes_itself(build):
    lines = (build / "description.txt").read_text(encoding="utf-8").splitlines()
    entries = dict(line.split(" ", 1) for line in lines)
    assert entries["NAME"] == "LungDeepReg"
    assert entries["DEPENDS"] == "PyTorch"
    assert entries["HOMEPAGE"].startswith("https://")
    assert entries["DESCRIPTION"].count(". ") <= 1  # one or two sentences
    assert "not for clinical use" in entries["DESCRIPTION"]


def test_every_file_of_the_module_is_packaged(build):
    packaged = build / "lib" / "qt-scripted-modules"
    found = {path.relative_to(packaged).as_posix() for path in packaged.rglob("*") if path.is_file()}
    module = ROOT / "LungDeepReg"
    files = (path.relative_to(module) for path in module.rglob("*") if path.is_file())
    expected = {file.as_posix() for file in files if not any(part.startswith(LEFT_OUT) for part in file.parts)}
    assert found == expected - {"CMakeLists.txt"}


def test_what_is_packaged_runs_on_its_own(build, tmp_path):
    """The engine's command line from the package alone, with the weights that came with it."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import LungDeepRegLib
from LungDeepRegLib.checkpoint import BUNDLED, load_checkpoint
from LungDeepRegLib.worker import server, tasks
assert LungDeepRegLib.__file__.startswith(sys.argv[1]), LungDeepRegLib.__file__
assert str(BUNDLED).startswith(sys.argv[1])
load_checkpoint(BUNDLED)
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, str((build / "lib" / "qt-scripted-modules").resolve())],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


def test_slicers_tests_are_registered_only_where_tests_are_built(build, tmp_path):
    assert (build / "tests.txt").read_text().split("\n")[:2] == ["generic LungDeepReg", "unittest LungDeepReg.py"]
    assert configure(ROOT, tmp_path, "-DBUILD_TESTING=OFF").returncode == 0
    assert not (tmp_path / "tests.txt").exists()


@pytest.mark.parametrize("name", ["LungDeepRegLib/volume.py", "LungDeepRegLib/weights/lung.pt", "LungDeepReg.py"])
def test_a_listed_file_that_is_missing_stops_cmake(copy, tmp_path, name):
    (copy / "LungDeepReg" / name).unlink()
    done = configure(copy, tmp_path / "build")
    assert done.returncode != 0
    assert f"nonexistent file '{name}'" in " ".join(done.stderr.split())


def test_without_a_description_cmake_stops(copy, tmp_path):
    lists = copy / "CMakeLists.txt"
    text = lists.read_text(encoding="utf-8").replace("EXTENSION_DESCRIPTION", "DESCRIPTION_OF_EXTENSION")
    lists.write_text(text, encoding="utf-8")
    done = configure(copy, tmp_path / "build")
    assert done.returncode != 0
    assert "EXTENSION_DESCRIPTION" in done.stderr
