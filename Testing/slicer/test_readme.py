"""README's lines for Slicer's Python console, run as they stand."""

import re
from pathlib import Path

import numpy as np
import slicer
from LungDeepRegLib.mrml import node_from_volume

from Testing.slicer.scene import from_world

ROOT = Path(__file__).parents[2]


def test_lines_for_the_python_console_register_two_nodes(slicer_application, pair):
    slicer_application.open_module(ROOT / "LungDeepReg" / "LungDeepReg.py")
    lines = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    for name, volume in (("exhale", pair.fixed), ("inhale", pair.moving)):
        node_from_volume(volume.with_array(volume.array, name), slicer.mrmlScene)
    console = {"getNode": slicer.mrmlScene.GetFirstNodeByName}
    exec(lines, console)

    fixed, moving = pair.fixed_landmarks.points_ras, pair.moving_landmarks.points_ras
    mapped = from_world(slicer.mrmlScene.GetFirstNodeByName("Transform inhale to exhale"), fixed)
    before, after = (np.linalg.norm(points - moving, axis=1).mean() for points in (fixed, mapped))
    assert before > 10
    assert after < 4  # mm, with voxels of 10 mm
