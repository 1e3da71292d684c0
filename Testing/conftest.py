"""With CI=true a test may not skip for something that ``.ci/run`` could have installed: then it fails."""

import os

import pytest

SKIPS_ALLOWED_IN_CI = ("../shared/data", "GPU")
"""Reasons hold one of these where the machine can't help it: real images that aren't in the repository, no GPU."""


def skipped_in_vain(report) -> bool:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return False
    return not any(allowed in str(report.longrepr) for allowed in SKIPS_ALLOWED_IN_CI)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return failed_if_skipped_in_vain((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return failed_if_skipped_in_vain((yield))


def failed_if_skipped_in_vain(report):
    if skipped_in_vain(report):
        report.outcome = "failed"
        report.longrepr = f"skipped although CI=true: {report.longrepr}"
    return report
