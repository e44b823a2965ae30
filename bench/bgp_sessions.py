"""`bgp.sessions`: every session of 1,000 nodes with two peers each, in one call.

Each session has a full history. What is measured is the answer of `/v1/bgp/sessions` with all of them, from
the request to the decoded body. Told beside it are `polder bgp summary`, a process of its own that prints all
of them, and a scrape of `/metrics`. The peer is the least that any answer costs: the keys read from etcd.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from bench.row import Row, median, percentile, progress, seconds
from bench.service import Service
from controller.reading import put, scan_all
from store import keys
from store.client import MAX_TXN_OPS, Put
from store.etcd import EtcdStore
from store.model import AddressFamily, Alive, Node, Program, Session, SessionState, Transition

NODES, PEERS, KEPT = 1_000, ("tor-a", "tor-b"), 16
SESSIONS = NODES * len(PEERS)
ROUNDS = 20
GOAL_S = 1.0
REASON = "peer sent NOTIFICATION: Cease, Administrative Shutdown (6/2)"


def measure() -> Row:
    """Measure."""
    with Service(fill) as service, closing(service.store()) as store:
        progress(f"bgp.sessions: {SESSIONS} sessions with {KEPT} transitions each are in the store")
        calls = [seconds(lambda: _list(service)) for _ in range(ROUNDS)]
        reads = [seconds(lambda: scan_all(store, keys.SESSIONS.prefix())) for _ in range(ROUNDS)]
        summaries = [seconds(lambda: _summary(service)) for _ in range(3)]
        scrapes = [seconds(lambda: _scrape(service)) for _ in range(3)]
    value, peer = median(calls), median(reads)
    told = f"polder bgp summary {median(summaries):.2f} s, a scrape {median(scrapes):.2f} s"
    progress(f"bgp.sessions: {told}")
    return Row(
        name="bgp.sessions",
        value=value,
        unit="s",
        p50=value,
        p99=percentile(calls, 99),
        peer="the same keys read from etcd",
        peer_value=peer,
        ratio=peer / value,
        goal=f"the answer and polder bgp summary <= {GOAL_S:g} s; {told}",
        ok=percentile(calls, 99) <= GOAL_S and median(summaries) <= GOAL_S,
    )


def fill(store: EtcdStore) -> None:
    """Write the nodes, their speakers and sessions; in full transactions."""
    writes = list(_writes())
    for start in range(0, len(writes), MAX_TXN_OPS):
        store.txn([], writes[start : start + MAX_TXN_OPS])


def _writes() -> Iterator[Put]:
    now = datetime.now(UTC)
    for number in range(NODES):
        node = f"node-{number:04}"
        yield put(keys.NODES, Node(name=node, asn=64512), node)
        alive = Alive(node=node, program=Program.SPEAKER, boot_id="b", started=now)
        yield put(keys.ALIVE, alive, node, Program.SPEAKER.value)
        for peer in PEERS:
            yield put(keys.SESSIONS, _session(node, peer, now), node, peer)


def _session(node: str, peer: str, now: datetime) -> Session:
    states = (SessionState.IDLE, SessionState.ESTABLISHED)
    return Session(
        node=node,
        peer=peer,
        address=ip_address("192.0.2.1"),
        asn=64501,
        local_address=ip_address("192.0.2.0"),
        state=SessionState.ESTABLISHED,
        since=now,
        advertised=3,
        families=(AddressFamily.IPV4,),
        hold_time_s=90,
        flaps=KEPT // 2,
        transitions=tuple(
            Transition(
                at=now - timedelta(minutes=KEPT - each), state=states[each % 2], reason=(REASON, "")[each % 2]
            )
            for each in range(KEPT)
        ),
    )


def _list(service: Service) -> None:
    found = json.loads(_get(service, f"/v1/bgp/sessions?limit={SESSIONS}"))
    if len(found["items"]) != SESSIONS or "next" in found:
        raise SystemExit(f"bench: {len(found['items'])} sessions in one answer instead of {SESSIONS}")


def _scrape(service: Service) -> None:
    text = _get(service, "/metrics").decode()
    if text.count("\npolder_bgp_session_up{") != SESSIONS:
        raise SystemExit("bench: not every session is in the metrics")


def _summary(service: Service) -> None:
    server = f"http://127.0.0.1:{service.port}"
    argv = (sys.executable, "-c", "from cli.main import main; main()", "bgp", "summary", "--server", server)
    shown = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout
    if f"{SESSIONS} of {SESSIONS} sessions established" not in shown:
        raise SystemExit(f"bench: polder bgp summary does not show all sessions: {shown[-200:]}")


def _get(service: Service, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        data = answer.read()
    if answer.status != http.client.OK:
        raise SystemExit(f"bench: GET {path}: {data.decode(errors='replace')}")
    return data
