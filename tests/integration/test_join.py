"""A host joins: etcd with TLS and rights, a controller over TLS, and the commands a user types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents import command, options_file
from intent.snapshot import watched
from lab.etcd import EtcdServer, free_ports
from lab.processes import end_child
from lab.wait import wait_until
from pki.certificate import fingerprint, load_cert
from pki.directory import CONTROLLER, Directory, init, pair
from store import etcd_version, keys
from store.client import Put
from store.errors import PermissionDenied
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.feed import Feed, InSync
from store.options import open_store
from tests.support.site import SOON_S, Site

pytest_plugins = ["tests.support.pki"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")


@pytest.fixture(scope="module")
def site(
    pki: Directory, secured_etcd: EtcdServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A controller with the certificates of `polder pki init`, at an etcd that asks for rights."""
    (port,) = free_ports(1)
    with Site(pki.path, tmp_path_factory.mktemp("site"), secured_etcd.url, port) as made:
        for number in (1, 2, 10):
            made.did("node", "create", f"node-{number}", f"--asn={64510 + number}")
        yield made


@pytest.fixture
def as_node(site: Site) -> Iterator[Callable[[str], EtcdStore]]:
    """Opens etcd as the programs of a node do, with the file that joining wrote."""
    opened: list[EtcdStore] = []

    def open_as(node: str) -> EtcdStore:
        config = site.home / node / "node.conf"
        opened.append(
            open_store(options_file.parse(command.arguments("test", "", ""), [f"--config={config}"]))
        )
        return opened[-1]

    yield open_as
    for store in opened:
        store.close()


def test_a_node_that_joined_may_do_its_part_and_nothing_else(
    site: Site, as_node: Callable[[str], EtcdStore]
) -> None:
    joined = site.join(site.token("node-1"), "node-1")
    assert joined.returncode == 0, joined.stderr
    assert "this host is node node-1" in joined.stdout
    place = site.home / "node-1"
    assert {each.stat().st_mode & 0o777 for each in place.iterdir()} == {0o600}
    store = as_node("node-1")

    own = [
        keys.ATTACHMENTS.key("node-1", "web"),
        keys.READY.key("node-1", "10.0.0.1/32"),
        keys.SESSIONS.key("node-1", "tor"),
    ]
    store.txn([], [Put(key, b"{}") for key in own])
    store.txn([], [Put(keys.ALIVE.key("node-1", "agent"), b"{}", store.grant(10))])
    feed = Feed(store, watched("node-1"))
    assert any(isinstance(item, InSync) for item in next(feed.batches()))
    feed.close()

    others = [
        keys.ATTACHMENTS.key("node-2", "web"),
        keys.ATTACHMENTS.key("node-10", "web"),
        keys.SESSIONS.key("node-10", "tor"),
        keys.ALIVE.key("node-2", "agent"),
        keys.POOLS.key("default"),
        keys.NODES.key("node-1"),
        keys.PEERS.key("tor"),
        keys.ENDPOINTS.key("web"),
        keys.TOKENS.key("mine"),
        keys.JOINS.key("node-2"),
        keys.leader("release"),
    ]
    for key in others:
        with pytest.raises(PermissionDenied):
            store.txn([], [Put(key, b"{}")])
    for prefix in (
        keys.TOKENS.prefix(),
        keys.JOINS.prefix(),
        keys.ENDPOINTS.prefix(),
        keys.ADDRESSES.prefix(),
        keys.node_prefix("node-2"),
        keys.ROOT,
    ):
        with pytest.raises(PermissionDenied):
            store.range(prefix)


def test_the_controllers_log_tells_of_an_etcd_whose_rights_do_not_hold(
    site: Site, pki: Directory, secured_etcd: EtcdServer
) -> None:
    own = pair(pki.path, CONTROLLER)
    config = EtcdConfig((secured_etcd.url,), ca=pki.ca, cert=own.cert, key=own.key)
    found = etcd_version.version(config, secured_etcd.url)
    assert found
    if etcd_version.holds(found):
        assert "event=weak-rights" not in site.log.read_text()
        return
    told = f"event=weak-rights the rights of etcd {found} at {secured_etcd.url} do not hold"
    wait_until(lambda: told in site.log.read_text(), SOON_S, "the warning")


def test_a_join_whose_answer_was_lost_is_asked_again(site: Site) -> None:
    token = site.token("node-2")
    assert site.join(token, "node-2").returncode == 0
    key = (site.home / "node-2" / "node.key").read_bytes()
    (site.home / "node-2" / "node.conf").unlink()
    assert site.join(token, "node-2").returncode == 0
    assert (site.home / "node-2" / "node.key").read_bytes() == key
    thief = site.join(token, "thief")
    assert (thief.returncode, "used already" in thief.stderr) == (1, True)
    assert not (site.home / "thief" / "node.conf").exists()


def test_the_secret_is_not_shown_to_another_authority(site: Site, tmp_path: Path) -> None:
    init(tmp_path / "pki", [])
    name, node, secret, _ = site.token("node-10").split(":")
    other = Directory.open(tmp_path / "pki").authority.cert
    refused = site.join(":".join((name, node, secret, fingerprint(other))), "node-10")
    assert (refused.returncode, "its authority is another" in refused.stderr) == (1, True)
    assert secret not in refused.stderr + site.log.read_text()


def test_a_host_is_not_made_another_node_by_mistake(site: Site) -> None:
    assert site.join(site.token("node-10"), "twice").returncode == 0
    refused = site.join(site.token("node-2"), "twice")
    assert (refused.returncode, "of another node" in refused.stderr) == (4, True)


def test_a_certificate_is_renewed_for_the_same_key(site: Site, as_node: Callable[[str], EtcdStore]) -> None:
    assert site.join(site.token("node-1"), "renewed").returncode == 0
    place = site.home / "renewed"
    before = (place / "node.pem").read_bytes()
    kept = site.did("agent", "renew", f"--dir={place}", "--within-days=30")
    assert ("good for 364 days more" in kept, (place / "node.pem").read_bytes() == before) == (True, True)
    site.did("agent", "renew", f"--dir={place}")
    after = (place / "node.pem").read_bytes()
    assert load_cert(before).public_key() == load_cert(after).public_key()
    assert load_cert(after).serial_number != load_cert(before).serial_number
    as_node("renewed").range(keys.node_prefix("node-1"))


def test_its_speaker_runs_until_the_node_is_removed(site: Site) -> None:
    site.did("node", "create", "leaf", "--asn=64599")
    assert site.join(site.token("leaf"), "leaf").returncode == 0
    argv = ["speaker", f"--config={site.home / 'leaf' / 'node.conf'}", f"--run-dir={site.home / 'run'}"]
    process = site.start(*argv, log=site.home / "speaker.log")
    try:
        alive = lambda node: node["programs"]["speaker"]["alive"]  # noqa: E731
        wait_until(
            lambda: site.get("node", "leaf"), SOON_S, "the speaker to be alive", good=alive, poll_s=0.3
        )
    finally:
        end_child(process)
    site.did("node", "delete", "leaf")
    refused = site.polder(*argv)
    assert refused.returncode == 1
    assert re.search(r"refuses this client: .*; next: .*join", refused.stderr)
    assert "Traceback" not in refused.stderr
