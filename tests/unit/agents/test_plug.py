"""Plugs: what is refused, what is tried again, and what is swept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from agents.kernel.links import IfnameTaken, LinkSpec
from agents.kernel.netlink import KernelError
from agents.kernel.netns import NetnsGone
from agents.node.pairs import FIRST_OFPORT, host_ifname
from agents.node.plug import Busy, Plug
from agents.node.record import UPLINK
from agents.node.wants import Refused, Want
from openflow.behind import NUMBERS
from openflow.errors import BridgeError, BridgeUnavailable
from openflow.rows import NEEDS_LINK, PortRow
from store.model import EndpointKind, IPAddress
from tests.support.cluster import endpoint

WANT = Want("web", "/run/netns/web", "7", "eth0")
OTHER = Want("db", "/run/netns/db", "8", "eth0")


@dataclass
class MemoryLinks:
    """Links by name, and what the kernel answers instead when it is told to."""

    links: dict[str, LinkSpec | None] = field(default_factory=dict)
    """Those that are up, with what they are; None while they are down."""
    complete: dict[str, LinkSpec] = field(default_factory=dict)
    fault: KernelError | None = None
    incomplete: KernelError | None = None
    """What it answers when the link stands, and is to be completed."""
    held: dict[tuple[str, str], set[IPAddress]] = field(default_factory=dict)
    theirs: dict[str, int] = field(default_factory=dict)
    given_back: list[str] = field(default_factory=list)

    def ensure_endpoint_link(self, spec: LinkSpec, standing: Callable[[], None]) -> None:
        if self.fault is not None:
            raise self.fault
        self.links[spec.host_ifname] = None
        standing()
        if self.incomplete is not None:
            raise self.incomplete
        self.complete[spec.host_ifname] = spec

    def raise_link(self, host_ifname: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.links[host_ifname] = self.complete[host_ifname]

    def hold_addresses(
        self,
        path: str,
        netns_id: str,
        ifname: str,
        wanted: Iterable[IPAddress],
        unwanted: Iterable[IPAddress],
    ) -> None:
        if self.fault is not None:
            raise self.fault
        self.held.setdefault((path, netns_id), set()).update(wanted)
        self.held[path, netns_id] -= set(unwanted)

    def remove_link(self, host_ifname: str) -> None:
        self.links.pop(host_ifname, None)

    def take_link(self, ifname: str) -> int:
        return self.theirs.get(ifname, 0)

    def give_back_link(self, ifname: str) -> None:
        self.given_back.append(ifname)

    def owned_links(self) -> dict[str, bool]:
        return {name: spec is not None for name, spec in self.links.items() if name.startswith("pl")}


@dataclass
class MemoryBridge:
    """Ports by name, as the switch's database keeps them."""

    rows: dict[str, PortRow] = field(default_factory=dict)
    noted: dict[str, Mapping[str, str]] = field(default_factory=dict)
    theirs: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    fault: BridgeError | None = None
    fails: BridgeError | None = None
    """What becomes of a port that was asked for."""
    gives: int | None = None
    """The number that a port gets, whichever is asked for."""

    def ports(self) -> Mapping[str, PortRow]:
        if self.fault is not None:
            raise self.fault
        return dict(self.rows)

    def notes(self) -> Mapping[str, Mapping[str, str]]:
        return dict(self.noted)

    def note(self, name: str, external_ids: Mapping[str, str] | None) -> None:
        self.noted.pop(name, None)
        if external_ids is not None:
            self.noted[name] = dict(external_ids)

    def add_port(self, name: str, external_ids: Mapping[str, str], *, given: bool = False) -> int:
        numbers = {row.name: number for number, row in enumerate(self.rows.values(), 1)}
        number = numbers.get(name, len(self.rows) + 1)
        self.rows[name] = PortRow(name, number, dict(external_ids))
        return number

    def begin_port(self, name: str, external_ids: Mapping[str, str], ofport: int) -> Future[int]:
        number = self.rows[name].ofport if name in self.rows else self.gives or ofport
        self.rows[name] = PortRow(name, number, dict(external_ids))
        added = Future[int]()
        if self.fails is not None:
            added.set_exception(self.fails)
        else:
            added.set_result(self.rows[name].ofport or 0)
        return added

    def holds(self, name: str) -> bool:
        return name in self.rows or name in self.theirs

    def remove_port(self, name: str, *, closed: bool = False) -> None:
        if self.rows.pop(name, None) is not None:
            self.removed.append(name)


def test_what_was_plugged_in_is_read_back_by_another_program() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    made = Plug(links, bridge).insert(WANT, endpoint())
    assert Plug(links, bridge).read() == {"web": made}
    assert (made.want, made.ofport, made.port) == (WANT, FIRST_OFPORT, host_ifname("web"))
    assert made.serves(WANT, endpoint())
    assert not made.serves(WANT, endpoint(address="10.64.0.2"))
    assert not made.serves(WANT, endpoint().model_copy(update={"mtu_bytes": 9000}))
    Plug(links, bridge).remove("web")
    assert (links.links, bridge.rows) == ({}, {})


def test_what_changes_of_an_endpoint_is_recorded_without_touching_its_link() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    there = Plug(links, bridge).insert(WANT, endpoint())
    links.fault = KernelError(16, "busy")
    labelled = endpoint().model_copy(update={"labels": {"app": "web"}, "tenant": "blue"})
    made = Plug(links, bridge).record(there, WANT, labelled)
    assert Plug(links, bridge).read() == {"web": made}
    assert made.endpoint == labelled
    assert made.serves(WANT, endpoint())


ANYCAST = frozenset(map(ip_address, ("10.64.255.1", "fd00::53")))


def test_addresses_of_services_are_recorded_before_they_are_there_and_until_they_are_gone() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    plug = Plug(links, bridge)
    there = plug.insert(WANT, endpoint())
    links.fault = KernelError(16, "busy")
    with pytest.raises(Busy):
        plug.hold(there, ANYCAST)
    assert Plug(links, bridge).read()["web"].services == ANYCAST, "they may be there"
    links.fault = None
    there = plug.hold(plug.read()["web"], ANYCAST)
    assert links.held == {("/run/netns/web", "7"): set(ANYCAST)}
    one = frozenset([ip_address("fd00::53")])
    links.fault = KernelError(16, "busy")
    with pytest.raises(Busy):
        plug.hold(there, one)
    assert plug.read()["web"].services == ANYCAST
    links.fault = None
    assert plug.hold(there, one) == plug.read()["web"]
    assert links.held == {("/run/netns/web", "7"): set(one)}
    links.fault = KernelError(16, "busy")
    with pytest.raises(Busy):
        plug.hold(plug.read()["web"], ANYCAST - one)
    assert plug.read()["web"].services == ANYCAST, "both may be there"
    links.fault = None
    assert plug.hold(plug.read()["web"], one).services == one
    labelled = endpoint().model_copy(update={"labels": {"app": "web"}})
    assert plug.record(plug.read()["web"], WANT, labelled).services == plug.read()["web"].services == one


def test_what_a_dead_namespace_holds_is_forgotten() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    plug = Plug(links, bridge)
    there = plug.hold(plug.insert(WANT, endpoint()), ANYCAST)
    links.fault = NetnsGone("/run/netns/web", "is another one now")
    with pytest.raises(Busy):
        plug.hold(there, ANYCAST)
    plug.hold(there, frozenset())
    assert plug.read()["web"].services == frozenset()


def test_a_record_that_cannot_be_read_serves_nobody() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    Plug(links, bridge).insert(WANT, endpoint())
    row = bridge.rows[host_ifname("web")]
    bridge.add_port(row.name, {**row.external_ids, "polder-endpoint": "{"})
    (found,) = Plug(links, bridge).read().values()
    assert (found.endpoint, found.identity, found.serves(WANT, endpoint())) == (None, "", False)
    before = dict(bridge.rows)
    Plug(links, bridge).hold(found, ANYCAST)
    assert bridge.rows == before, "it is left as it is"
    bridge.add_port(row.name, {**row.external_ids, "polder-services": "10.64.255.1 x"})
    assert Plug(links, bridge).read()["web"].services == frozenset()


def test_the_link_is_what_the_endpoint_says() -> None:
    links = MemoryLinks()
    Plug(links, MemoryBridge()).insert(WANT, endpoint(address="fd00::7"))
    spec = links.complete[host_ifname("web")]
    assert [str(one) for one in (*spec.addresses, *spec.gateways)] == ["fd00::7", "fe80::1"]
    assert (spec.netns, spec.ifname, spec.mtu_bytes) == ("/run/netns/web", "eth0", 1500)


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        (NetnsGone("/run/netns/web", "does not exist"), Refused, "not a network namespace"),
        (IfnameTaken("eth0", "/run/netns/web"), Refused, "is taken"),
        (KernelError(16, "busy"), Busy, "busy"),
    ],
)
def test_the_callers_fault_is_refused_and_the_kernels_is_tried_again(
    fault: KernelError, expected: type[Exception], words: str
) -> None:
    bridge = MemoryBridge()
    with pytest.raises(expected, match=words):
        Plug(MemoryLinks(fault=fault), bridge).insert(WANT, endpoint())
    assert bridge.rows == {}, "the port comes after the link"


def test_a_port_has_the_number_that_the_switch_gives() -> None:
    plug, others = Plug(MemoryLinks(), MemoryBridge()), MemoryBridge(gives=7)
    first, second = plug.insert(WANT, endpoint()), plug.insert(OTHER, endpoint("db", "10.64.0.2"))
    assert first.ofport != second.ofport
    assert (plug.settle(first), plug.settle(second)) == (first, second)
    plug = Plug(MemoryLinks(), others)
    assert plug.settle(plug.insert(WANT, endpoint(), closed=True)) == plug.read()["web"]
    assert plug.read()["web"].closed
    assert plug.read()["web"].ofport == 7


def test_a_link_that_a_crash_left_incomplete_is_completed() -> None:
    links, bridge = MemoryLinks(incomplete=KernelError(16, "busy")), MemoryBridge()
    plug = Plug(links, bridge)
    with pytest.raises(Busy):
        plug.insert(WANT, endpoint())
    again = Plug(links, bridge)
    again.sweep({})
    for each in (plug, again):
        assert not each.read()["web"].serves(WANT, endpoint()), "the port is there, the link is not complete"
    links.incomplete = None
    again.settle(again.insert(WANT, endpoint()))
    assert links.links[host_ifname("web")] is not None
    after = Plug(links, bridge)
    after.sweep({})
    for each in (again, after):
        assert each.read()["web"].serves(WANT, endpoint())


def test_a_link_is_down_until_the_switch_has_its_port() -> None:
    links, bridge = MemoryLinks(), MemoryBridge(fails=BridgeUnavailable("no answer"))
    plug = Plug(links, bridge)
    with pytest.raises(Busy, match="no answer"):
        plug.settle(plug.insert(WANT, endpoint()))
    assert links.owned_links() == {host_ifname("web"): False}
    bridge.fails = None
    assert not plug.read()["web"].serves(WANT, endpoint())
    plug.settle(plug.insert(WANT, endpoint()))
    assert links.owned_links() == {host_ifname("web"): True}
    assert plug.read()["web"].serves(WANT, endpoint())


def test_a_switch_that_is_away_is_busy() -> None:
    with pytest.raises(Busy):
        Plug(MemoryLinks(), MemoryBridge(fault=BridgeUnavailable("no answer"))).read()


def test_the_sweep_takes_what_a_crash_left_and_nothing_else() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    plug = Plug(links, bridge)
    plug.insert(WANT, endpoint())
    wanted = host_ifname("asked-for")
    links.links |= {host_ifname("left"): None, wanted: None, "plum0": None, "plain-veth": None}
    plug.sweep({"asked-for": WANT})
    assert set(links.links) == {host_ifname("web"), wanted, "plum0", "plain-veth"}


def test_a_port_without_our_record_is_no_plug() -> None:
    bridge = MemoryBridge({"plaa": PortRow("plaa", 4, {"polder": "web"})})
    assert Plug(MemoryLinks(), bridge).read() == {}


def test_names_fit_the_kernel_and_differ() -> None:
    names = {host_ifname(f"endpoint-{number}" * 8) for number in range(2000)}
    assert len(names) == 2000
    assert all(len(name) <= 15 for name in names)


TAP = Want("web", port="tap0")
BEHIND = Want("web", port="eth3", via=(ip_address("192.0.2.7"),))


def test_a_port_of_the_callers_is_added_and_given_back_and_its_link_stays() -> None:
    links, bridge = MemoryLinks(theirs={"tap0": 5}), MemoryBridge()
    made = Plug(links, bridge).insert(TAP, endpoint())
    again = Plug(links, bridge)
    assert not again.read()["web"].serves(TAP, endpoint()), "a new program makes sure of the link first"
    assert again.insert(TAP, endpoint()) == made == again.read()["web"]
    assert (made.port, made.ofport, links.links) == ("tap0", 1, {})
    again.remove("web")
    assert (bridge.rows, links.given_back, again.read()) == ({}, ["tap0"], {})


@pytest.mark.parametrize(("kind", "needs"), [(EndpointKind.HOST, "up"), (EndpointKind.VM, "there")])
def test_the_cable_of_a_machine_has_to_be_up_and_the_link_of_a_guest_there(
    kind: EndpointKind, needs: str
) -> None:
    links, bridge = MemoryLinks(theirs={"tap0": 5}), MemoryBridge()
    Plug(links, bridge).insert(TAP, endpoint().model_copy(update={"kind": kind}))
    assert bridge.rows["tap0"].external_ids[NEEDS_LINK] == needs


def test_a_link_that_is_gone_is_waited_for_and_one_that_came_back_is_a_new_one() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    plug = Plug(links, bridge)
    assert plug.insert(TAP, endpoint()).ofport is None, "nothing is made for it"
    assert bridge.rows == {}
    links.theirs["tap0"] = 5
    plug.insert(TAP, endpoint())
    del links.theirs["tap0"]
    plug.insert(TAP, endpoint())  # the switch has not noticed yet
    links.theirs["tap0"] = 9
    plug.forget()
    bridge.removed.clear()
    made = plug.insert(TAP, endpoint())
    assert (bridge.removed, made.ofport, bridge.noted) == (["tap0"], 1, {})


def test_a_port_of_somebody_elses_needs_no_link() -> None:
    bridge = MemoryBridge()
    assert Plug(MemoryLinks(), bridge).insert(TAP, endpoint()).ofport is None
    bridge.theirs.add("tap0")
    assert Plug(MemoryLinks(), bridge).insert(TAP, endpoint()).ofport == 1


def test_a_crash_while_a_port_is_taken_out_loses_no_record() -> None:
    links, bridge = MemoryLinks(theirs={"tap0": 5}), MemoryBridge()
    Plug(links, bridge).insert(TAP, endpoint())
    bridge.note("web", bridge.rows.pop("tap0").external_ids)
    (found,) = Plug(links, bridge).read().values()
    assert (found.want, found.endpoint, found.ofport) == (TAP, endpoint(), None)
    Plug(links, bridge).remove("web")
    assert (Plug(links, bridge).read(), bridge.noted) == ({}, {})


def test_what_is_behind_a_neighbour_shares_a_port_under_a_number_of_its_own() -> None:
    links, bridge = MemoryLinks(theirs={"eth3": 5}), MemoryBridge()
    plug, other = Plug(links, bridge), replace(BEHIND, endpoint="db")
    made, second = plug.insert(BEHIND, endpoint()), plug.insert(other, endpoint("db", "10.64.0.2"))
    assert (made.ofport, second.ofport, made.shared, second.shared) == (*NUMBERS[:2], 1, 1)
    assert plug.read() == {"web": made, "db": second}
    labelled = endpoint().model_copy(update={"labels": {"app": "web"}})
    plug.record(made, BEHIND, labelled)
    again = Plug(links, bridge)
    assert not again.read()["web"].serves(BEHIND, labelled), "a new program makes sure of the link first"
    assert again.insert(BEHIND, labelled) == again.read()["web"] == replace(made, endpoint=labelled)
    again.remove("db")
    assert (list(bridge.rows), links.given_back) == (["eth3"], [])
    again.remove("web")
    assert (bridge.rows, bridge.noted, links.given_back) == ({}, {}, ["eth3"])


def test_a_shared_port_whose_link_is_gone_keeps_the_numbers() -> None:
    links, bridge = MemoryLinks(), MemoryBridge()
    plug = Plug(links, bridge)
    assert plug.insert(BEHIND, endpoint()).ofport is None, "the link is not for us to make"
    second = replace(BEHIND, endpoint="db")
    links.theirs["eth3"] = 5
    assert plug.insert(second, endpoint("db", "10.64.0.2")).ofport == NUMBERS[1]
    assert plug.insert(BEHIND, endpoint()).ofport == NUMBERS[0]
    links.theirs["eth3"] = 9
    bridge.removed.clear()
    assert plug.insert(BEHIND, endpoint()).ofport == NUMBERS[0]
    assert (bridge.removed, set(bridge.noted)) == (["eth3"], {"web", "db"})


def test_the_uplink_of_a_segment_is_no_machines_port() -> None:
    bridge = MemoryBridge({"eth3": PortRow("eth3", 1, {"polder": "uplink", UPLINK: "eth3"})})
    with pytest.raises(Refused, match="uplink of a segment"):
        Plug(MemoryLinks(theirs={"eth3": 5}), bridge).insert(BEHIND, endpoint())
    assert bridge.noted == {}
