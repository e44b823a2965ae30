"""BGP sessions as the API and Prometheus show them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from controller import session_metrics
from controller.reading import put
from controller.session_metrics import SessionMetrics
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put, Range
from store.memory import MemoryStore
from store.model import Alive, Program, Session, SessionState, Transition
from tests.unit.controller.conftest import NOW, Api

REASON = "peer sent NOTIFICATION: Cease, Administrative Shutdown (6/2)"


def session(node: str, peer: str, state: SessionState = SessionState.ESTABLISHED, **fields: Any) -> Put:
    made = Session(
        node=node,
        peer=peer,
        address="192.0.2.1",
        asn=64501,
        state=state,
        since=NOW,
        transitions=(
            Transition(at=NOW, state=SessionState.IDLE, reason=REASON, replaced=True),
            Transition(at=NOW, state=SessionState.ESTABLISHED),
        ),
        **fields,
    )
    return put(keys.SESSIONS, made, node, peer)


def alive(node: str) -> Put:
    made = Alive(node=node, program=Program.SPEAKER, boot_id="b", started=NOW)
    return put(keys.ALIVE, made, node, "speaker")


@pytest.fixture
def spoken(api: Api) -> Api:
    """Two nodes with two sessions; the speaker of the second does not live."""
    sessions = [
        session(
            "node-1",
            "tor-a",
            flaps=7,
            restarts=2,
            advertised=3,
            guarded=2,
            families=("ipv4",),
            hold_time_s=90,
        ),
        session("node-1", "tor-b", SessionState.IDLE, reason=REASON),
        session("node-2", "tor-a"),
    ]
    api.store.txn([], [*sessions, alive("node-1")])
    return api


def test_one_session_is_shown_with_its_past(spoken: Api) -> None:
    shown = spoken.get("/v1/bgp/sessions/node-1/tor-a")
    assert (shown["flaps"], shown["restarts"], shown["hold_time_s"], shown["families"]) == (
        7,
        2,
        90,
        ["ipv4"],
    )
    assert shown["transitions"] == [
        {"at": "2026-01-01T00:00:00Z", "state": "IDLE", "reason": REASON, "replaced": True},
        {"at": "2026-01-01T00:00:00Z", "state": "ESTABLISHED", "reason": "", "replaced": False},
    ]
    assert shown["stale"] is False
    assert spoken.get("/v1/bgp/sessions/node-2/tor-a")["stale"] is True


def test_a_list_has_all_but_the_past(spoken: Api) -> None:
    rows = spoken.get("/v1/bgp/sessions")["items"]
    alone = spoken.get("/v1/bgp/sessions/node-1/tor-a")
    assert rows[0] == {name: value for name, value in alone.items() if name != "transitions"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["node-1/tor-a", "node-1/tor-b", "node-2/tor-a"]),
        ("?peer=tor-a", ["node-1/tor-a", "node-2/tor-a"]),
        # ESTABLISHED stands among the transitions of each.
        ("?state=ESTABLISHED", ["node-1/tor-a", "node-2/tor-a"]),
        ("?state=IDLE&node=node-1", ["node-1/tor-b"]),
        ("?peer=nobody", []),
    ],
)
def test_a_list_of_some(spoken: Api, query: str, found: list[str]) -> None:
    rows = spoken.get(f"/v1/bgp/sessions{query}")["items"]
    assert [f"{row['node']}/{row['peer']}" for row in rows] == found


def test_a_session_that_is_not_there_names_those_that_are(spoken: Api) -> None:
    answer = spoken.send("GET", "/v1/bgp/sessions/node-1/tor-x")
    assert answer.status_code == 404
    assert "node-1/tor-a" in answer.json["detail"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_a_session_that_no_speaker_has_told_of_is_listed_as_idle(spoken: Api, limit: int) -> None:
    for name in ("node-1", "node-2", "node-3"):
        spoken.made("/v1/nodes", {"name": name, "asn": 64512, "labels": {"rack": name[-1]}})
    spoken.made("/v1/peers", {"name": "tor-a", "address": "192.0.2.1", "asn": 64501})
    selector = {"rack": "1"}
    tor_c = {"name": "tor-c", "address": "192.0.2.3", "asn": 64503, "node_selector": selector}
    spoken.made("/v1/peers", tor_c)
    rows: list[dict[str, Any]] = []
    path = more = f"/v1/bgp/sessions?limit={limit}"
    while more:
        page = spoken.get(more)
        assert len(page["items"]) <= limit
        rows += page["items"]
        more = f"{path}&cursor={page['next']}" if "next" in page else ""
    said = {f"{row['node']}/{row['peer']}": (row["state"], row["stale"], row["since"]) for row in rows[3:]}
    assert len(rows) == 5
    assert said == {"node-1/tor-c": ("IDLE", False, None), "node-3/tor-a": ("IDLE", True, None)}
    assert "start it there: polder speaker" in rows[-1]["reason"]
    assert spoken.get("/v1/bgp/sessions/node-3/tor-a")["reason"] == rows[-1]["reason"]
    assert spoken.send("GET", "/v1/bgp/sessions/node-3/tor-c").status_code == 404
    for query, count in (("state=ESTABLISHED", 2), ("peer=tor-c", 1), ("node=node-3", 1), ("state=IDLE", 3)):
        assert len(spoken.get(f"/v1/bgp/sessions?{query}")["items"]) == count, query


def test_pages_of_untold_sessions_are_of_one_revision(spoken: Api) -> None:
    for name in ("node-1", "node-2", "node-3"):
        spoken.made("/v1/nodes", {"name": name, "asn": 64512})
    for name, address in (("tor-a", "192.0.2.1"), ("tor-b", "192.0.2.2")):
        spoken.made("/v1/peers", {"name": name, "address": address, "asn": 64501})
    first = spoken.get("/v1/bgp/sessions?limit=4")
    spoken.store.txn((), (session("node-3", "tor-b"), Delete(keys.SESSIONS.key("node-1", "tor-b"))))
    spoken.made("/v1/peers", {"name": "tor-c", "address": "192.0.2.3", "asn": 64501})
    spoken.made("/v1/nodes", {"name": "node-4", "asn": 64512})
    second = spoken.get(f"/v1/bgp/sessions?limit=100&cursor={first['next']}")
    listed = [f"{row['node']}/{row['peer']}" for row in (*first["items"], *second["items"])]
    assert listed == [f"node-{node}/tor-{peer}" for node, peer in ("1a", "1b", "2a", "2b", "3a", "3b")]
    assert {row["state"] for row in second["items"]} == {"IDLE"}


def test_a_state_that_there_is_not_is_refused(spoken: Api) -> None:
    answer = spoken.send("GET", "/v1/bgp/sessions?state=up")
    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "state")


def test_prometheus_reads_every_session(spoken: Api) -> None:
    spoken.store.txn([], [Put(keys.SESSIONS.key("node-3", "tor-a"), b"no json")])
    lines = set(spoken.client.get("/metrics").text.splitlines())
    assert {
        'polder_bgp_session_up{node="node-1",peer="tor-a"} 1.0',
        'polder_bgp_session_up{node="node-1",peer="tor-b"} 0.0',
        'polder_bgp_session_up{node="node-2",peer="tor-a"} 0.0',
        'polder_bgp_session_stale{node="node-1",peer="tor-a"} 0.0',
        'polder_bgp_session_stale{node="node-2",peer="tor-a"} 1.0',
        'polder_bgp_session_flaps_total{node="node-1",peer="tor-a"} 7.0',
        'polder_bgp_session_restarts_total{node="node-1",peer="tor-a"} 2.0',
        'polder_bgp_session_advertised_prefixes{node="node-1",peer="tor-a"} 3.0',
        'polder_bgp_session_guarded_prefixes{node="node-1",peer="tor-a"} 2.0',
    } <= lines


def test_what_an_older_speaker_does_not_say_is_none() -> None:
    store = MemoryStore()
    store.txn([], [Put(keys.SESSIONS.key("n", "t"), b'{"v":1,"state":"IDLE"}')])
    assert b'polder_bgp_session_flaps_total{node="n",peer="t"} 0.0' in session_metrics.render(store)


def test_a_store_that_does_not_answer_leaves_only_the_sessions_out(spoken: Api) -> None:
    spoken.store.set_available(False)
    text = spoken.client.get("/metrics").text
    assert "polder_http_requests_total" in text
    assert "polder_bgp_session_up{" not in text
    spoken.store.set_available(True)
    assert "polder_bgp_session_up{" in spoken.client.get("/metrics").text


def test_a_store_that_hangs_holds_no_scrape_up() -> None:
    goes_on = threading.Event()

    class Hanging(MemoryStore):
        def range(self, prefix: str, **options: Any) -> Range:
            goes_on.wait(5)
            return super().range(prefix, **options)

    store = Hanging()
    store.txn([], [session("node-1", "tor-a")])
    metrics = SessionMetrics(store, patience_s=0.05)
    try:
        assert metrics.render() == b""
        goes_on.set()
        wait_until(metrics.render, 5, "the sessions", good=lambda text: b'{node="node-1"' in text)
    finally:
        metrics.close()
