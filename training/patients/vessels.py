"""Great vessels and large airways of a synthetic patient's mediastinum, in the chest's frame."""

from __future__ import annotations

from LungDeepRegLib.phantom.tubes import Tubes

Point = tuple[float, float, float]


def hila(up: float) -> dict[str, Point]:
    """Where vessels and bronchi enter the right and the left lung."""
    return {"right": (45.0, -17.0, up), "left": (-46.0, -21.0, up + 7)}


def great_vessels(up: float, heart_right: float, width: float) -> Tubes:
    """Aorta, venae cavae, pulmonary trunk and arteries, and the large branches to the neck and the arms.

    Args:
        up: Height of the right hilum.
        heart_right: Where the heart is.
        width: Of the mediastinum, relative to an average one.
    """
    root, hilum = (heart_right + 14, 22, up - 14), hila(up)
    arch = up + 50
    aorta = [root, (14, 30, up + 8), (15, 22, up + 30), (4, 2, arch), (-16, -22, arch - 2), (-25, -44, arch - 16)]
    aorta += [(-25, -54, up + 6), (-21, -57, up - 60), (-14, -56, up - 120), (-8, -52, up - 200)]
    upper = [(31, 12, up - 20), (31, 12, up + 25), (27, 12, up + 64), (24, 10, up + 78)]
    lower = [(26, -4, up - 50), (25, -10, up - 85), (23, -12, up - 130), (21, -22, up - 230)]
    trunk = [(heart_right - 4, 40, up - 18), (-22, 27, up + 4), (-19, 8, up + 16)]
    parts = [
        Tubes.chain(aorta, [14 * width + 1.5, 15, 14.5, 13.5, 13, 12.5, 12, 11, 10, 9.5]),
        Tubes.chain(upper, [10, 9.5, 9, 8]),
        Tubes.chain(lower, [12, 12, 11, 10]),
        Tubes.chain(trunk, [14, 13.5, 12]),
        Tubes.chain([(-19, 8, up + 16), (10, -4, up + 12), (32, -9, up + 7), hilum["right"]], [10, 10, 9.5, 7.5]),
        Tubes.chain([(-19, 8, up + 16), (-33, -10, up + 17), hilum["left"]], [10, 9.5, 7.5]),
        Tubes.chain([(24, 10, up + 78), (34, 4, up + 108), (70, 10, up + 122)], [7, 6, 5]),
        Tubes.chain([(24, 10, up + 78), (-10, 14, up + 84), (-32, 6, up + 110), (-70, 10, up + 122)], [5.5, 5.5, 5, 5]),
        Tubes.chain([(4, 2, arch), (14, -6, arch + 36), (22, -8, arch + 62)], [6, 5.5, 4]),
        Tubes.chain([(-14, -16, arch), (-22, -18, arch + 36), (-30, -12, arch + 60)], [5, 4.5, 4]),
    ]
    return Tubes.union(parts)


def airway_trunk(up: float) -> Tubes:
    """Trachea and main bronchi, by their outer wall.

    Args:
        up: Height of the right hilum.
    """
    carina, hilum = (0.0, -26.0, up + 34), hila(up)
    trachea = [(-1, 6, up + 200), (0, -8, up + 130), (2, -18, up + 80), carina]
    right, left = hilum["right"], hilum["left"]
    parts = [
        Tubes.chain(trachea, [9, 9.2, 9, 9.6]),
        Tubes.chain([carina, (20, -27, up + 20), (right[0] - 4, right[1] - 9, right[2] + 4)], [8, 7.8, 6.6]),
        Tubes.chain([carina, (-20, -29, up + 22), (left[0] + 3, left[1] - 8, left[2] - 4)], [7.6, 7, 6.2]),
    ]
    return Tubes.union(parts)
