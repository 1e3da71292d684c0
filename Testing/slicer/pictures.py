"""Pictures of the module: its panel beside the views, one for each display preset, to be looked at by a person.

Opens the module in the tests' stand-ins of Slicer's application, with its real panel, worker and views, and clicks as a
user does. The stand-ins' widgets look plainer than Slicer's own.

    python -m Testing.slicer.pictures --out pictures                       # the synthetic pair
    python -m Testing.slicer.pictures --out pictures --fixed a.mha --moving b.mha [--masks a_mask.mha b_mask.mha]
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import slicer
from LungDeepRegLib.image_io import read_volume
from LungDeepRegLib.landmark_review.pairs import LandmarkPair
from LungDeepRegLib.mrml import node_from_volume
from LungDeepRegLib.mrml.landmark_pairs import add_pair_lists, set_pairs
from LungDeepRegLib.phantom import PhantomConfig, make_pair

from Testing.slicer.gui import Session, choose, click, process_events_until, screenshot
from Testing.slicer.scene import start_application
from Testing.slicer.standins.install import installed
from Testing.slicer.views import Views, beside, load_picture, save_picture

MODULE = Path(__file__).parents[2] / "LungDeepReg" / "LungDeepReg.py"
PANEL_WIDTH = 430
VIEWS_SIZE = (1170, 780)
OBSERVER = "Example"


def main() -> None:
    """Make them all."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        started = start_application(Path(folder) / "slicer")
        with installed(started, Path(folder) / "settings") as app:
            session = Session(started, app)
            views = Views(started.scene, started.logic, VIEWS_SIZE)
            app.show_views(views.views)
            widget = session.open_module(MODULE)
            points = registered(widget, args)
            panel_picture(widget, Path(folder) / "panel.png")  # the first one is wider: labels wrap afterwards
            for name in presets(widget.views.ui):
                panel = panel_picture(widget, Path(folder) / "panel.png")
                save_picture(beside(panel, views.picture()), args.out / f"{name}.png")
            for name in chain(maps(widget), review(widget, points)):
                panel = panel_picture(widget, Path(folder) / "panel.png")
                save_picture(beside(panel, views.picture()), args.out / f"{name}.png")
            session.close()


def registered(widget, args) -> list[LandmarkPair]:
    """Choose the pair and register it; landmarks of it, if they are known."""
    ui, points = widget.register.ui, []
    if args.fixed:
        images = [read_volume(path) for path in (args.fixed, args.moving)]
    else:
        phantom = make_pair(PhantomConfig())
        images = [phantom.fixed, phantom.moving]
        points = landmarks_of(phantom)
    nodes = [node_from_volume(image, slicer.mrmlScene) for image in images]
    choose(ui.fixedVolumeSelector, nodes[0])
    choose(ui.movingVolumeSelector, nodes[1])
    for path, selector in zip(args.masks or (), (ui.fixedMaskSelector, ui.movingMaskSelector), strict=False):
        choose(selector, node_from_volume(read_volume(path), slicer.mrmlScene, "vtkMRMLLabelMapVolumeNode"))
    click(ui.registerButton)
    process_events_until(lambda: not widget.logic.busy, 300)
    for section in (ui.inputsButton, ui.outputsButton):
        section.collapsed = True
    return points


def landmarks_of(phantom) -> list[LandmarkPair]:
    """Eleven pairs as a person would place them: the phantom's own, a little beside."""
    rng = np.random.default_rng(0)
    fixed, moving = (mark.points_ras[:11] for mark in (phantom.fixed_landmarks, phantom.moving_landmarks))
    moving = moving + rng.normal(0.0, 0.7, moving.shape)
    return [LandmarkPair(str(n), a, b, OBSERVER) for n, (a, b) in enumerate(zip(fixed, moving, strict=True), 1)]


def presets(ui) -> Iterator[str]:
    """Show each preset, and tell its name while it is shown."""
    click(ui.overlayButton)
    click(ui.beforeButton)
    yield "overlay_before"
    click(ui.afterButton)
    yield "overlay_after"
    for name in ("flicker", "checkerboard", "difference", "jacobian", "linkedCursor"):
        click(getattr(ui, f"{name}Button"))
        yield name
    click(ui.displacementButton)
    for index, name in enumerate(("colors", "arrows", "grid")):
        ui.styleSelector.setCurrentIndex(index)
        yield f"displacement_{name}"
    click(ui.displacementButton)


def maps(widget) -> Iterator[str]:
    """Assess the result, and show each of its maps, with its name, beside the panel that says what they mean."""
    ui = widget.quality.ui
    for panel in widget.panels:
        panel.widget.visible = panel is widget.quality
    ui.qualityButton.collapsed = False
    choose(ui.inhaleSelector, "the moving volume")
    click(ui.wayBackButton)
    process_events_until(lambda: not widget.quality.busy, 300)
    for name in ("trust", "ventilation"):
        click(getattr(ui, f"{name}Button"))
        for index in range(ui.mapSelector.count):
            ui.mapSelector.setCurrentIndex(index)
            yield f"{name}_{index}"


def review(widget, points: list[LandmarkPair]) -> Iterator[str]:
    """Show the review of landmarks, blind and with the result; nothing where there are no landmarks."""
    if not points:
        return
    ui, parameters = widget.landmarks.ui, widget.register.parameters
    for panel in widget.panels:
        panel.widget.visible = panel is widget.landmarks
    ui.landmarksButton.collapsed = False
    set_pairs(add_pair_lists(OBSERVER, parameters.fixedVolume, parameters.movingVolume), points)
    parameters.landmarkObserver = OBSERVER
    for name, button in (("blind", ui.blindButton), ("compared", ui.comparedButton)):
        click(button)
        ui.pairsTable.selectRow(3)
        yield f"landmarks_{name}"


def panel_picture(widget, path: Path) -> np.ndarray:
    """The module's panel, ``(H, W, 3)``."""
    screenshot(widget, path, (PANEL_WIDTH, VIEWS_SIZE[1]))
    return load_picture(path)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the PNG files")
    parser.add_argument("--fixed", type=Path)
    parser.add_argument("--moving", type=Path)
    parser.add_argument("--masks", type=Path, nargs=2, metavar=("FIXED", "MOVING"), help="label maps of the lungs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
