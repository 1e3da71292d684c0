"""The report that people keep: one HTML file with pictures and tables, and all of its figures as CSV and JSON.

Works without torch and matplotlib, since Slicer's own process writes it too.
"""

from .content import Picture, ReportContent
from .files import REPORT_FILES, write_report
from .numbers import NOT_MEASURED
from .page import NOTICE

__all__ = ["NOTICE", "NOT_MEASURED", "REPORT_FILES", "Picture", "ReportContent", "write_report"]
