"""report.png: a result at a glance, in coronal, sagittal and axial cuts through the lungs."""

from .figure import draw_report, write_report

__all__ = ["draw_report", "write_report"]
