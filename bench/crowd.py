"""Many endpoints on one node of a lab, each attached to a container of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab.errors import LabError
from lab.lab import Lab

HOSTS_AT_A_TIME = 8


def crowd(lab: Lab, node: str, count: int) -> str:
    """Create and attach so many endpoints; returns the address of one of them. Raises LabError."""
    names = [f"e{number}" for number in range(count)]
    made = [lab.api.do("POST", "/v1/endpoints", {"id": name, "node": node}) for name in names]
    containers = [lab.container(name) for name in names]
    with ThreadPoolExecutor(HOSTS_AT_A_TIME) as pool:
        attached = pool.map(lambda each: lab.attach(each.name, each, node), containers)
        if len(list(attached)) != count:
            raise LabError("not all endpoints are attached")
    return str(made[-1]["addresses"][0])
