"""A node from nothing, as docs/pki.md tells it: its agent works with the rights of a node."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.etcd import EtcdServer, EtcdTls
from lab.processes import end_child
from lab.wait import wait_until
from pki.directory import ETCD, ROOT, pair
from tests.support.ovs import OpenVSwitch, open_vswitch
from tests.support.polder_up import POLDER, environment
from tests.support.site import SOON_S, Site

pytestmark = pytest.mark.needs("root", "etcd", "etcdctl", "ovs-vswitchd", "ovsdb-server", "ip", "ping")

ETCD_URL = "https://127.0.0.1:2379"


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[OpenVSwitch]:
    with open_vswitch(f"join{os.getpid()}", tmp_path) as started:
        yield started


@pytest.fixture
def web(switch: OpenVSwitch) -> Iterator[str]:
    """A container: a namespace."""
    name = f"{switch.netns}-web"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def site(switch: OpenVSwitch) -> Iterator[Site]:
    """Etcd and a controller in the namespace of the switch, made secure by the commands of the page."""
    inside = ("ip", "netns", "exec", switch.netns)
    pki = switch.directory / "pki"

    def polder(*arguments: str) -> None:
        subprocess.run([*inside, *POLDER, *arguments], check=True, env=environment(), capture_output=True)

    polder("pki", "init", f"--dir={pki}")
    own, root = pair(pki, ETCD), pair(pki, ROOT)
    tls = EtcdTls(pki / "ca.pem", own.cert, own.key, root.cert, root.key)
    with EtcdServer(
        switch.directory / "etcd", netns=switch.netns, tls=tls, flags=["--peer-cert-allowed-cn=etcd"]
    ):
        polder("etcd", "secure", f"--pki={pki}", f"--etcd={ETCD_URL}")
        with Site(pki, switch.directory, ETCD_URL, 8443, prefix=inside) as made:
            yield made


def test_a_container_of_a_node_that_joined(switch: OpenVSwitch, site: Site, web: str) -> None:
    site.did("pool", "create", "default", "--cidr", "10.64.0.0/16", "--cooldown-s", "0")
    site.did("node", "create", "here", "--asn", "64511")
    assert site.join(site.token("here"), "here").returncode == 0
    run_dir = switch.directory / "run"
    config = f"--config={switch.directory / 'here' / 'node.conf'}"
    agent = ["agent", config, f"--run-dir={run_dir}", f"--ovsdb={switch.remote}"]
    programs = [
        site.start(*agent, log=switch.directory / "agent.log"),
        site.start("speaker", config, f"--run-dir={run_dir}", log=switch.directory / "speaker.log"),
    ]
    try:
        site.did("endpoint", "create", "web-1", "--node", "here")
        wait_until((run_dir / "agent.sock").exists, SOON_S, "the agent's socket", good=bool)
        site.did("attach", "web-1", "--netns", web, "--socket", str(run_dir / "agent.sock"))
        switch.run("ping", "-c1", "-W2", "10.64.0.1")
        wait_until(
            lambda: site.get("endpoint", "web-1"),
            SOON_S,
            "the endpoint to be ready",
            good=lambda seen: seen["ready"],
            poll_s=0.3,
        )
        # Its agent has to take itself off the endpoint, in keys of its own, for this to end.
        assert site.did("endpoint", "delete", "web-1") == "endpoint web-1 deleted\n"
        assert [each.poll() for each in programs] == [None, None]
    finally:
        for process in reversed(programs):
            end_child(process)
    for log in ("agent.log", "speaker.log"):
        assert "permission denied" not in (switch.directory / log).read_text()
