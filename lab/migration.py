"""A workload that is moved with its connections: one network namespace with an interface on either node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab.host import Host

GATEWAY = "169.254.1.1"
TABLE = "100"
RULE = ("pref", "10", "table", TABLE)


@contextmanager
def migrated(workload: Host, leaves: str) -> Iterator[None]:
    """The workload goes on by the interface that it leaves while the block runs, then by the other one.

    Args:
        workload: its namespace.
        leaves: the interface on the old node. The block attaches the other one.
    """
    for table in (("table", TABLE), ()):
        verb = "add" if table else "del"
        routes = ((GATEWAY, "scope", "link"), ("default", "via", GATEWAY))
        for route in routes if table else reversed(routes):
            workload.run("ip", "route", verb, *route, "dev", leaves, *table)
        if table:
            workload.run("ip", "rule", "add", *RULE)
    yield
    workload.run("ip", "rule", "del", *RULE)
