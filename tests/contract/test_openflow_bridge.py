"""The bridge in a real Open vSwitch's database: idempotent, repaired, and nothing of others touched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import openflow.bridge
from openflow.bridge import Bridge, BridgeRejected, BridgeUnavailable, PortRow
from tests.support.ovs import OpenVSwitch, open_vswitch, until

pytestmark = pytest.mark.needs("root", "ip", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl")

NETNS = "openflow-bridge"
MAC = "02:50:4c:44:52:01"


@pytest.fixture(scope="module")
def ovs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    with open_vswitch(NETNS, tmp_path_factory.mktemp("ovs")) as started:
        yield started


@pytest.fixture
def bridge(ovs: OpenVSwitch) -> Iterator[Bridge]:
    """A bridge without ports, made."""
    made = Bridge(ovs.remote)
    made.start()
    ensure(made)
    yield made
    for name in made.ports():
        made.remove_port(name)
    made.close()


@pytest.fixture
def link(ovs: OpenVSwitch) -> Iterator[str]:
    """A link in the namespace that can become a port."""
    ovs.run("ip", "link", "add", "pl-web", "type", "veth", "peer", "name", "web")
    yield "pl-web"
    ovs.run("ip", "link", "delete", "pl-web")


def ensure(bridge: Bridge) -> None:
    bridge.ensure(mac=MAC, datapath_type="netdev")


def settings(ovs: OpenVSwitch) -> str:
    columns = "name,fail_mode,protocols,datapath_type,external_ids,other_config,ports"
    return ovs.vsctl(f"--columns={columns},controller", "list", "Bridge", "polder0")


def test_ensure_makes_the_bridge(bridge: Bridge, ovs: OpenVSwitch) -> None:
    text = settings(ovs)
    for wanted in (
        "fail_mode           : secure",
        "protocols           : [OpenFlow13, OpenFlow14]",
        "datapath_type       : netdev",
        "external_ids        : {polder=bridge}",
        'hwaddr="02:50:4c:44:52:01"',
        'disable-in-band="true"',
        "controller          : []",
    ):
        assert wanted in text
    assert ovs.vsctl("get", "Bridge", "polder0", "datapath_id") == '"000002504c445201"'
    assert MAC in ovs.run("ip", "link", "show", "polder0")


def test_ensure_again_writes_nothing(bridge: Bridge, ovs: OpenVSwitch) -> None:
    def written() -> int:
        return (ovs.directory / "conf.db").stat().st_size

    before = written()
    ensure(bridge)
    assert written() == before


def test_ensure_repairs_and_leaves_settings_that_are_not_ours(bridge: Bridge, ovs: OpenVSwitch) -> None:
    before = settings(ovs)
    ovs.vsctl(
        *("--", "set", "Bridge", "polder0", "fail_mode=standalone", "other_config:mac-aging-time=15"),
        *("--", "clear", "Bridge", "polder0", "protocols"),
        *("--", "remove", "Bridge", "polder0", "other_config", "hwaddr"),
        *("--", "set-controller", "polder0", "tcp:127.0.0.1:1", "tcp:127.0.0.1:2"),
    )
    ensure(bridge)
    ovs.vsctl("remove", "Bridge", "polder0", "other_config", "mac-aging-time", "15")
    assert settings(ovs) == before


def test_a_bridge_of_this_name_that_is_not_ours_is_refused(bridge: Bridge, ovs: OpenVSwitch) -> None:
    ovs.vsctl("add-br", "theirs", "--", "set", "Bridge", "theirs", "datapath_type=netdev")
    other = Bridge(ovs.remote, "theirs")
    other.start()
    try:
        with pytest.raises(BridgeRejected, match="bridge theirs exists and is not Polder's"):
            ensure(other)
        assert ovs.vsctl("get-fail-mode", "theirs") == ""
        assert ovs.vsctl("get-controller", "theirs") == ""
    finally:
        other.close()
        ovs.vsctl("del-br", "theirs")


def test_a_port_is_added_once(bridge: Bridge, link: str, ovs: OpenVSwitch) -> None:
    ofport = bridge.add_port(link, {"polder": "web", "polder-netns": "/run/netns/web"})
    assert ovs.vsctl("get", "Interface", link, "ofport") == str(ofport)
    assert bridge.add_port(link, {"polder": "web"}) == ofport
    assert bridge.ports() == {link: PortRow(link, ofport, {"polder": "web"})}


def test_a_port_is_removed_once(bridge: Bridge, link: str, ovs: OpenVSwitch) -> None:
    bridge.add_port(link, {})
    assert bridge.ports()[link].external_ids == {"polder": "port"}
    number = bridge.ports()[link].ofport
    bridge.remove_port(link, closed=True)
    assert bridge.add_port(link, {}) != number, "it was closed, and opened anew"
    bridge.remove_port(link)
    bridge.remove_port(link)
    assert bridge.ports() == {}
    assert ovs.vsctl("list-ports", "polder0") == ""


def test_many_ports_at_once(bridge: Bridge, ovs: OpenVSwitch) -> None:
    names = [f"pl{number}" for number in range(12)]
    for name in names:
        ovs.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"x-{name}")
    with ThreadPoolExecutor(len(names)) as callers:
        ofports = list(callers.map(lambda name: bridge.add_port(name, {"polder": name}), names))
    assert len(set(ofports)) == len(names)
    assert {name: row.ofport for name, row in bridge.ports().items()} == dict(
        zip(names, ofports, strict=True)
    )
    for name in names:
        ovs.run("ip", "link", "delete", name)


def test_a_port_whose_link_is_missing_is_refused_until_the_link_is_there(
    bridge: Bridge, ovs: OpenVSwitch
) -> None:
    for _ in range(2):
        with pytest.raises(BridgeRejected, match=r"cannot open pl-late: .*No such device"):
            bridge.add_port("pl-late", {"polder": "late"})
    assert bridge.ports()["pl-late"].ofport is None
    ovs.run("ip", "link", "add", "pl-late", "type", "veth", "peer", "name", "late")
    try:
        assert bridge.add_port("pl-late", {"polder": "late"}) > 0
    finally:
        ovs.run("ip", "link", "delete", "pl-late")


def test_foreign_ports_are_neither_shown_nor_touched(bridge: Bridge, link: str, ovs: OpenVSwitch) -> None:
    ovs.vsctl("add-port", "polder0", link)
    try:
        assert bridge.ports() == {}
        with pytest.raises(BridgeRejected, match=f"port {link} exists and is not Polder's"):
            bridge.add_port(link, {"polder": "web"})
        with pytest.raises(BridgeRejected, match=f"port {link} exists and is not Polder's"):
            bridge.remove_port(link)
        assert ovs.vsctl("get", "Port", link, "external_ids") == "{}"
    finally:
        ovs.vsctl("del-port", link)


def test_ports_without_a_bridge(ovs: OpenVSwitch, link: str) -> None:
    nowhere = Bridge(ovs.remote, "nowhere")
    nowhere.start()
    try:
        assert nowhere.ports() == {}
        nowhere.remove_port(link)
        with pytest.raises(BridgeRejected, match="there is no bridge nowhere"):
            nowhere.add_port(link, {})
    finally:
        nowhere.close()


def test_a_change_by_somebody_else_is_told(ovs: OpenVSwitch) -> None:
    told = threading.Event()
    watcher = Bridge(ovs.remote, on_change=told.set)
    watcher.start()
    try:
        watcher.ports()
        assert told.wait(5)
        told.clear()
        ovs.vsctl("set", "Bridge", "polder0", "external_ids:note=1")
        assert told.wait(5)
        ovs.vsctl("remove", "Bridge", "polder0", "external_ids", "note")
    finally:
        watcher.close()


def test_after_a_restart_of_the_database_it_goes_on(bridge: Bridge, link: str, ovs: OpenVSwitch) -> None:
    ofport = bridge.add_port(link, {"polder": "web"})
    ovs.kill("ovsdb-server")
    ovs.start_server()
    assert bridge.add_port(link, {"polder": "web", "seen": "again"}) == ofport
    assert ovs.vsctl("get", "Port", link, "external_ids:seen") == "again"


def test_a_restart_of_the_switch_keeps_the_ports_numbers(bridge: Bridge, link: str, ovs: OpenVSwitch) -> None:
    bridge.add_port(link, {"polder": "web"})
    before = bridge.ports()
    ovs.kill("ovs-vswitchd")
    ovs.start_vswitchd()
    ovs.vsctl("set", "Bridge", "polder0", "external_ids:polder=bridge")
    until(lambda: bridge.ports() == before, "the same ports")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openflow.bridge, "CALL_TIMEOUT_S", 0.2)
    lonely = Bridge(f"unix:{tmp_path}/none.sock")
    before = threading.active_count()
    lonely.start()
    with pytest.raises(BridgeUnavailable, match=r"none.sock: no answer in time"):
        lonely.ports()
    with pytest.raises(BridgeUnavailable, match="no answer in time"):
        lonely.add_port("pl-x", {})
    lonely.close()
    lonely.close()
    assert threading.active_count() == before
    with pytest.raises(BridgeUnavailable, match="closed"):
        lonely.ports()


def test_a_switch_is_told_to_wait_for_its_flows_and_to_go_on(bridge: Bridge, ovs: OpenVSwitch) -> None:
    bridge.await_flows(True)
    until(lambda: bridge.restart.awaits_flows, "the mark")
    ovs.kill("ovs-vswitchd")
    ovs.start_vswitchd()
    bridge.await_flows(False)
    assert "flow-restore-wait" not in ovs.vsctl("get", "Open_vSwitch", ".", "other_config")
    until(lambda: not bridge.restart.awaits_flows, "the mark to go")


def test_flows_are_kept_by_the_kernel_and_only_when_nobody_else_waits(
    bridge: Bridge, ovs: OpenVSwitch
) -> None:
    assert not bridge.restart.keeps_flows, "netdev"
    ovs.kill("ovs-vswitchd")  # it has no kernel datapath here, and could not follow
    try:
        ovs.vsctl("--no-wait", "set", "Bridge", "polder0", "datapath_type=system")
        until(lambda: bridge.restart.keeps_flows, "the datapath that stays")
        ovs.vsctl("--no-wait", "add-br", "theirs")
        until(lambda: not bridge.restart.keeps_flows, "the other bridge")
        ovs.vsctl("--no-wait", "del-br", "theirs")
        ovs.vsctl("--no-wait", "set", "Bridge", "polder0", "datapath_type=netdev")
    finally:
        ovs.start_vswitchd()
