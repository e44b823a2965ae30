"""`polder up` with agent and speaker, in a namespace with an Open vSwitch of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.attachment import attach, detach
from lab.wait import wait_until
from tests.support.command_tree import examples_of, parts
from tests.support.ovs import OpenVSwitch, open_vswitch
from tests.support.polder_up import POLDER, Up

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "ovsdb-server", "ip", "ping", "curl")


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[OpenVSwitch]:
    with open_vswitch(f"cliup{os.getpid()}", tmp_path) as started:
        yield started


@pytest.fixture
def web(switch: OpenVSwitch) -> Iterator[str]:
    """A container: a namespace."""
    name = f"{switch.netns}-web"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def start(switch: OpenVSwitch, *more: str) -> Up:
    arguments = ("--node=here", f"--run-dir={switch.directory / 'run'}", *more)
    prefix = ("ip", "netns", "exec", switch.netns)
    env = {"OVS_RUNDIR": str(switch.directory)}
    return Up(switch.directory / "data", *arguments, prefix=prefix, env=env)


def typed(switch: OpenVSwitch, up: Up, *arguments: str) -> str:
    return switch.run(*POLDER, "--server", up.url, *arguments)


def endpoint(switch: OpenVSwitch, up: Up) -> dict[str, object]:
    return dict(json.loads(typed(switch, up, "endpoint", "get", "web-1", "-o", "json")))


def told(switch: OpenVSwitch, up: Up, since: int) -> list[bool]:
    """Whether the endpoint was ready at each change that a watch tells of since a revision."""
    url = f"{up.url}/v1/endpoints?watch=poll&since={since}&wait_s=10"
    return [each["item"]["ready"] for each in json.loads(switch.run("curl", "-sf", url))["items"]]


def try_examples(switch: OpenVSwitch, up: Up, command: click.Command, word: str) -> list[str]:
    """Run the examples in a command's help that have this word; the endpoints that they name."""
    vectors = [vector for line in examples_of(command) for vector in parts(line) if word in vector]
    for vector in vectors:
        typed(switch, up, *vector, "--socket", str(switch.directory / "run" / "agent.sock"))
    return [vector[1] for vector in vectors]


def test_a_container_answers_through_every_stop_and_start(switch: OpenVSwitch, web: str) -> None:
    with start(switch) as up:
        typed(switch, up, "pool", "create", "default", "--cidr", "10.64.0.0/16", "--cooldown-s", "0")
        typed(switch, up, "endpoint", "create", "web-1", "--node", "here")
        for name, kind in (("vm-1", "vm"), ("db-1", "host")):
            typed(switch, up, "endpoint", "create", name, "--node", "here", "--kind", kind)
        switch.run("ip", "tuntap", "add", "tap0", "mode", "tap")
        switch.run("ip", "link", "add", "eth3", "type", "veth", "peer", "name", "machine")
        switch.run("ip", "link", "set", "machine", "up")
        revision = json.loads(switch.run("curl", "-sf", f"{up.url}/v1/endpoints"))["revision"]
        socket = str(switch.directory / "run" / "agent.sock")
        typed(switch, up, "attach", "web-1", "--netns", web, "--socket", socket)
        assert try_examples(switch, up, detach, "web-1") == ["web-1"]
        typed(switch, up, "attach", "web-1", "--netns", web, "--socket", socket)
        switch.run("ping", "-c1", "-W2", "10.64.0.1")
        assert endpoint(switch, up)["ready"] is True
        wait_until(lambda: any(told(switch, up, revision)), 30, "a watch to tell that it is ready")
        assert "here" in typed(switch, up, "node", "list")
        assert try_examples(switch, up, attach, "--port") == ["vm-1", "db-1"]
        assert up.stop() == 0
    switch.run("ping", "-c1", "-W2", "10.64.0.1")

    with start(switch, "--asn=64999") as again:
        assert "here exists with asn 64512, which is kept" in again.output
        assert endpoint(switch, again)["ready"] is True
        switch.run("ping", "-c1", "-W2", "10.64.0.1")
        os.kill(again.pid("agent"), signal.SIGKILL)
        again.wait_for("agent started again")
        switch.run("ping", "-c1", "-W2", "10.64.0.1")
        wait_until(lambda: endpoint(switch, again), 30, "the agent", good=lambda seen: seen["ready"])
        assert typed(switch, again, "endpoint", "delete", "web-1") == "endpoint web-1 deleted\n"
        links = subprocess.run(["ip", "-n", web, "link"], check=True, capture_output=True, text=True).stdout
        assert "eth0" not in links

    (switch.directory / "data").rename(switch.directory / "data.before")
    with start(switch) as anew:
        assert "nothing is assigned until it has what nodes hold" in anew.output
        assert "not ready" not in anew.output, "it is not waited for who waits for a person"
        anew.wait_for("    polder attach")
        steps = [line.strip() for line in anew.output.partition("in another terminal:")[2].splitlines()]
        wanted = [step for step in steps if step.startswith(("polder restore", "polder pool"))]
        for step in wanted:
            typed(switch, anew, *step.split()[1:])
        wait_until(
            lambda: typed(switch, anew, "endpoint", "list", "-o", "name"), 30, "what is held", good=str
        )
        created = next(step for step in steps if step.startswith("polder endpoint create"))
        assert typed(switch, anew, *created.split()[1:])


def test_without_open_vswitch_the_rest_runs(tmp_path: Path) -> None:
    with Up(tmp_path / "data", env={"OVS_RUNDIR": str(tmp_path)}) as up:
        assert (
            f"polder: agent       not started: Open vSwitch does not answer at {tmp_path}/db.sock"
            in up.output
        )
        assert up.polder("node", "list").stdout.splitlines()[1:] == []
