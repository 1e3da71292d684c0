"""Who may import whom: the layers of the engine, lowest first, and what only some files may use."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[1] / "LungDeepReg"
ENGINE = MODULE / "LungDeepRegLib"
LAYERS = (
    {"geometry"},
    {"warp", "volume"},
    {"resampling"},
    {"field_sampling"},
    {
        "deformation",
        "displacement_field",
        "intensity",
        "inversion",
        "json_values",
        "labels",
        "landmarks",
        "lung_mask",
        "metrics",
        "outcome",
        "preprocessing",
        "quality",
        "similarity",
        "transformation",
    },
    {
        "alignment",
        "descent",
        "discrete_search",
        "landmark_review",
        "matching",
        "network",
        "network_inference",
        "phantom",
        "pyramid",
        "refinement",
        "unfolding",
        "winograd",
    },
    {"checkpoint", "html_report", "image_io", "motion_curves", "mrml", "network_stage"},
    {"registration"},
    {"results"},
    {"assessment", "batch"},
    {"commands", "worker", "__main__"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
FACADE = "__init__"
LAZY = {"SimpleITK", "dask", "distributed", "matplotlib", "nibabel", "tqdm"}
SLICER_ONLY = {"slicer", "vtk"}
NEVER = {"qt", "ctk", "training", "Testing", "LungDeepReg", "LungDeepRegWidgets"}

FILES = sorted(path for path in ENGINE.rglob("*.py"))
NAMES = [str(path.relative_to(ENGINE)) for path in FILES]


def part(path: Path) -> str:
    """The file or folder directly below the engine's that a file belongs to."""
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """Full names of the modules that a file imports when it runs; without ``lazy``, when it is imported itself."""
    package = ("LungDeepRegLib", *path.relative_to(ENGINE).parent.parts)
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*above, *([node.module] if node.module else [])))
            # "from . import x" names modules, "from .x import y" names what is in one.
            yield from ([f"{start}.{alias.name}" for alias in node.names] if not node.module else [start])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def engine_parts(path: Path) -> set[str]:
    """The parts of the engine, other than its own, that a file imports."""
    names = (name.split(".") for name in imports(path))
    found = {name[1] if len(name) > 1 else FACADE for name in names if name[0] == "LungDeepRegLib"}
    return found - {part(path)}


def libraries(path: Path, *, lazy: bool = True) -> set[str]:
    return {name.split(".")[0] for name in imports(path, lazy=lazy)} - {"LungDeepRegLib"}


def test_every_file_has_its_place():
    assert {part(path) for path in FILES} - {FACADE} <= set(RANK), "give the new file a layer of the design"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_go_downwards(path):
    if part(path) == FACADE:
        return
    upwards = {name for name in engine_parts(path) if RANK.get(name, len(LAYERS)) > RANK[part(path)]}
    assert not upwards


def test_files_of_one_layer_do_not_import_each_other_in_a_circle():
    graph = {}
    for path in FILES:
        graph.setdefault(part(path), set()).update(engine_parts(path) - {FACADE})
    list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_only_mrml_knows_slicer_and_nothing_knows_the_gui_training_or_tests(path):
    assert not libraries(path) & NEVER
    if part(path) != "mrml":
        assert not libraries(path) & SLICER_ONLY


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_libraries_that_slicer_lacks_are_imported_where_they_are_used(path):
    assert not libraries(path, lazy=False) & LAZY


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_only_the_declared_libraries_are_imported(path):
    known = {"numpy", "scipy", "torch", *LAZY, *SLICER_ONLY, *sys.stdlib_module_names}
    assert libraries(path) <= known


REGISTER_A_PAIR = f"""
import sys
sys.path.insert(0, {str(MODULE)!r})
absent = ["nibabel", "matplotlib", "tqdm", "slicer", "vtk", "qt", "lightning", "monai"]
sys.modules.update(dict.fromkeys(absent))  # an import of one of them now raises ImportError
from LungDeepRegLib import Options, register
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair
pair = make_pair(PhantomConfig(), chest_lattice(9.0), chest_lattice(9.0))
registration = register(pair.fixed, pair.moving, Options(voxel_budget=50_000))
assert registration.warped.array.shape == pair.fixed.array.shape
loaded = [name for name in ("SimpleITK", *absent) if sys.modules.get(name) is not None]
assert not loaded, loaded
"""


def test_register_runs_without_the_libraries_that_slicer_lacks():
    done = subprocess.run([sys.executable, "-c", REGISTER_A_PAIR], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


WITHOUT_TORCH = f"""
import sys
sys.path.insert(0, {str(MODULE)!r})
sys.modules["torch"] = None  # an import of it now raises ImportError
import LungDeepRegLib.intensity, LungDeepRegLib.landmarks, LungDeepRegLib.metrics, LungDeepRegLib.outcome
import LungDeepRegLib.quality
from LungDeepRegLib.landmark_review import description, observers, pairs, table
from LungDeepRegLib import DisplacementField, Volume
"""


def test_what_slicers_own_process_handles_is_loaded_without_torch():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
