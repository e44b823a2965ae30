"""Rules for every test: a missing tool is a skip with its reason locally, and an error in CI."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["tests.support.labs"]

# A busy machine is no failure; what CI tries is the same each time, what a developer tries is not. The state
# machines are tried at greater length in `make test`, so that `make check` stays below a minute.
SAME = bool(os.environ.get("CI"))
hypothesis.settings.register_profile("polder", deadline=None, derandomize=SAME, max_examples=30)
hypothesis.settings.register_profile("thorough", deadline=None, derandomize=SAME, max_examples=250)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2500)
hypothesis.settings.load_profile("polder")

GARBAGE_AFTER = 50_000
"""Objects that are made before rings among them are looked for. What stands after collecting stays in use."""

TOOL_PATHS = ("/usr/sbin", "/sbin", "/usr/lib/frr")


LONGEST = (
    "fault/test_restore_lab.py",
    "fault/test_high_availability.py",
    "fault/test_bgp_faults.py",
    "fault/test_history_planted.py",
    "contract/test_openapi.py",
    "fault/test_history.py",
    "integration/test_cli_up_agent.py",
    "contract/test_controller.py",
    "integration/test_bgp_speaker.py",
    "integration/test_bgp_exabgp.py",
    "contract/test_policy_traffic.py",
    "contract/test_watching.py",
    "integration/test_cli.py",
    "contract/test_store_etcd.py",
    "integration/test_demo.py",
    "integration/test_qos.py",
    "integration/test_lab.py",
    "fault/test_faults.py",
    "fault/test_agent_member.py",
    "integration/test_policies.py",
    "integration/test_explain.py",
    "integration/test_segments.py",
    "integration/test_endpoint_kinds.py",
    "integration/test_direct.py",
)
"""Begun first, in this order: one that is begun last leaves a core idle until it ends."""

SHARED = {"lab", "fabric"}
"""Fixtures that stand until a worker ends, and whose programs take of the CPU as long: needed late."""


def rank(item: pytest.Item) -> int:
    """The place of a test's file among the longest; behind them when it is none of them."""
    name = "/".join(item.path.parts[-2:])
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def in_order(items: list[pytest.Item]) -> None:
    """Sort the files: those that share a lab behind the others, of each sort the longest first."""
    sharing = {item.path for item in items if SHARED & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: (item.path in sharing, rank(item)))


def missing(tool: str) -> str | None:
    """Why a tool or right cannot be had here; None when it can. `root` is the right to make namespaces."""
    if tool == "root":
        return None if os.geteuid() == 0 else "needs root"
    path = os.pathsep.join([os.environ.get("PATH", ""), *TOOL_PATHS])
    return None if shutil.which(tool, path=path) else f"needs {tool}: run make setup"


def pytest_configure(config: pytest.Config) -> None:
    # A run in the background of a script ignores the keyboard's signals, and so would what it starts.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    for place in TOOL_PATHS:
        if Path(place).is_dir() and place not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] += os.pathsep + place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_order(items)
    for item in items:
        for mark in item.iter_markers("needs"):
            reasons = [why for tool in mark.args if (why := missing(tool))]
            if reasons and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="; ".join(reasons)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for tool in mark.args:
            if why := missing(tool):
                pytest.fail(f"{why}, and CI has to have it", pytrace=False)
