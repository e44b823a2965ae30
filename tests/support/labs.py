"""Labs that integration and fault tests share, and what a failed test shows of them.

Their names carry this process's id: neither a standing `make lab` nor another test run is in the way,
and what a killed run leaves is swept by the next lab of any name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator

import pytest

from lab.lab import Lab
from tests.support.report import sections

TIMES: list[str] = []


def built(lab: Lab) -> Iterator[Lab]:
    """Keep a lab up, and note how long it took to come and to go."""
    begun = time.monotonic()
    with lab:
        up_s = time.monotonic() - begun
        yield lab
        begun = time.monotonic()
    TIMES.append(f"lab {lab.name}: up in {up_s:.2f} s, down in {time.monotonic() - begun:.2f} s")


@pytest.fixture(scope="session")
def fabric() -> Iterator[Lab]:
    """The bare fabric, without Polder. A test leaves it as it found it."""
    yield from built(Lab(f"fabric{os.getpid()}", with_polder=False))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The fabric with Polder on it. A test leaves it as it found it."""
    yield from built(Lab(f"lab{os.getpid()}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in TIMES:
        terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when != "teardown":
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Lab):
                report.sections.extend(sections(value))
    return report
