"""What a change would do at the routers, and who reaches whom then, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.colour import styled
from cli.text import printable

ATTRIBUTES = ("next_hop", "communities", "med", "local_pref", "as_path")
COLOURS = {"+": "green", "-": "red", "~": "yellow", "!": "red"}
NAMED = 3
MOVED = ("appear", "change", "vanish", "opens", "closes", "resets", "refused", "endpoints")
"""What of the totals tells that something happens at a router."""
SHOWN = 20
"""Endpoints; all of them are in `-o json`."""

Item = Mapping[str, Any]


def lines(impact: Item) -> Iterator[str]:
    """The sessions and what becomes of their prefixes, the endpoints, and a last line with totals.

    The totals are left out where they are nothing, and who reaches whom was told.
    """
    for peer in impact["peers"]:
        yield printable(f"node {peer['node']}, peer {peer['peer']} at {peer['address']}")
        for line in _of_peer(peer):
            yield "  " + styled(printable(line), COLOURS[line[0]])
    endpoints = impact["endpoints"]
    for endpoint in endpoints[:SHOWN]:
        yield printable(_of_endpoint(endpoint))
    if len(endpoints) > SHOWN:
        yield f"... and {len(endpoints) - SHOWN} more endpoints: see -o json"
    if impact.get("policies") is not None:
        yield from _policies(impact["policies"])
    if impact.get("policies") is None or any(impact["totals"][what] for what in MOVED):
        yield _totals(impact["totals"])


def _policies(policies: Item) -> Iterator[str]:
    """Who reaches whom then, and what nodes are told."""
    for shift in policies["shifts"]:
        who, peers = _some(shift["endpoints"]), _peers(shift["peers"])
        what, way = ("ingress to", "from") if shift["direction"] == "ingress" else ("egress of", "to")
        for mark, word, traffic in (("+", "now", shift["gains"]), ("-", "no more", shift["loses"])):
            if traffic:
                named = "anything" if traffic == ["any"] else ", ".join(traffic)
                yield styled(printable(f"{mark} {what} {who}: {word} {named} {way} {peers}"), COLOURS[mark])
    if policies["more"]:
        yield "... and more of them"
    values = sum(each["values"] for each in policies["nodes"])
    yield (
        f"endpoints concerned: {policies['endpoints']['count']}; nodes told: {len(policies['nodes'])}, "
        f"values: {values}"
    )


def _some(endpoints: Item) -> str:
    named = endpoints["some"][:NAMED]
    more = endpoints["count"] - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _peers(peers: Item) -> str:
    if peers["endpoints"] is not None:
        return _some(peers["endpoints"])
    return f"outside, {', '.join(peers['ranges']) or 'anywhere else'}"


def _of_peer(peer: Item) -> Iterator[str]:
    if peer["session"] != "stays":
        because = f": {', '.join(peer['because'])}" if peer["because"] else ""
        yield f"! session {peer['node']} {peer['peer']} {peer['session']}{because}"
    yield from (f"+ {_route(each)}" for each in peer["appear"])
    yield from (f"~ {_change(each['before'], each['after'])}" for each in peer["change"])
    yield from (f"- {_route(each)}" for each in peer["vanish"])
    yield from (f"! {each['prefix']} is kept back: {each['reason']}" for each in peer["kept_back"])


def _route(route: Item) -> str:
    given = ((name, route[name]) for name in ATTRIBUTES if route[name] not in (None, []))
    return " ".join([route["prefix"], *(f"{name} {_value(value)}" for name, value in given)])


def _change(before: Item, after: Item) -> str:
    changed = [name for name in ATTRIBUTES if before[name] != after[name]]
    parts = (f"{name} {_value(before[name])} -> {_value(after[name])}" for name in changed)
    return f"{before['prefix']} {', '.join(parts)}"


def _value(value: Any) -> str:
    if value is None or value == []:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _of_endpoint(endpoint: Item) -> str:
    where = f"endpoint {endpoint['id']} on {endpoint['node']} ({', '.join(endpoint['addresses'])})"
    at = endpoint["unreachable_at"]
    return f"{where}: unreachable at {', '.join(at)}" if at else f"{where}: reached by another prefix"


def _totals(totals: Item) -> str:
    sessions = [
        f"{totals[fate]} {word}"
        for fate, word in (
            ("opens", "open"),
            ("closes", "close"),
            ("resets", "reset"),
            ("refused", "refused"),
        )
        if totals[fate]
    ]
    return (
        f"{totals['appear']} prefixes appear, {totals['change']} change, {totals['vanish']} of "
        f"{totals['advertised']} vanish ({totals['withdrawn_percent']:g} %); "
        f"sessions: {', '.join(sessions) or 'all stay'}; "
        f"endpoints: {totals['endpoints']} affected, {totals['unreachable']} unreachable at some router"
    )
