"""Flows in words, for people: as the tables of the pipeline and the purposes are called."""

from __future__ import annotations

from collections.abc import Iterable

from openflow.cookie import Purpose, decode
from openflow.flow import (
    CONTROLLER,
    LOCAL,
    Action,
    ChoosePort,
    Commit,
    Conjunction,
    DecTtl,
    Flow,
    FlowKey,
    GotoTable,
    Match,
    MatchValue,
    Measure,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    Track,
    Unlook,
    Visit,
)
from openflow.tables import NAMED_TABLES, WHY, drops

BITS = {
    "ct_state": ("new", "est", "rel", "rpl", "inv", "trk"),
    "tcp_flags": ("fin", "syn", "rst", "psh", "ack", "urg"),
}
"""The names of a field's bits, from the lowest."""
PLAIN = {
    DecTtl: "decrement TTL",
    PushVlan: "push a VLAN tag",
    PopVlan: "pop the VLAN tag",
    Unlook: "as if it had not been looked up",
}
"""The actions that say nothing more."""
_NAMES = {table.table_id: table.name for table in NAMED_TABLES}


def table_words(table_id: int) -> str:
    """The name of a table."""
    return _NAMES.get(table_id, f"table {table_id}")


def key_words(key: FlowKey) -> str:
    """What a flow is found by."""
    return f"{table_words(key.table_id)} priority={key.priority} {match_words(key.match)}".rstrip()


def match_words(match: Match) -> str:
    """What a flow matches; empty when it matches everything."""
    return ",".join(f"{name}={_value(name, value)}" for name, value in match)


def flow_words(flow: Flow) -> str:
    """What a flow does, and what it is for: `goto forward (ACCEPT)`."""
    return f"{actions_words(flow.actions)} ({purpose_words(flow.cookie)})"


def actions_words(actions: Iterable[Action]) -> str:
    """What a flow does. One that drops does it after the packet was counted and sampled."""
    done = tuple(actions)
    return "drop" if drops(done) else ", ".join(map(_action, done))


def purpose_words(cookie: int) -> str:
    """What a flow of this cookie is for."""
    ours = decode(cookie)
    if ours is None:
        return f"not Polder's: cookie {cookie:#x}"
    try:
        return Purpose(ours.purpose).name
    except ValueError:
        return f"purpose {ours.purpose:#x}"


def reason_words(wanted: object) -> str:
    """Why a flow, or what else has a `reason`, is wanted, 1,000 characters at most; empty when it is not."""
    return str(getattr(wanted, "reason", ""))[:1000]


def _value(name: str, value: MatchValue) -> str:
    if value == LOCAL:
        return "LOCAL"
    if name in BITS:
        return _bits(str(value), BITS[name])
    if name in ("eth_type", "conj_id", WHY) and isinstance(value, int):
        return f"{value:#06x}"
    return str(value)


def _bits(text: str, names: Iterable[str]) -> str:
    """Bits as ovs-fields(7) writes them: `+new+trk`."""
    value, mask = (int(part, 0) for part in text.split("/"))
    return "".join(
        f"{'+' if value >> bit & 1 else '-'}{name}" for bit, name in enumerate(names) if mask >> bit & 1
    )


def _action(action: Action) -> str:
    match action:
        case Output(port):
            return {LOCAL: "output LOCAL", CONTROLLER: "headers to the agent"}.get(port, f"output {port}")
        case SetField(name, value):
            return f"set {name} {_value(name, value)}"
        case DecTtl() | PushVlan() | PopVlan() | Unlook():
            return PLAIN[type(action)]
        case ChoosePort(ports):
            return f"reg0 = one of {', '.join(map(str, dict.fromkeys(ports)))} by hash"
        case GotoTable(table_id):
            return f"goto {table_words(table_id)}"
        case _:
            return _seldom(action)


def _seldom(action: Action) -> str:
    """What only endpoints with rules or limits have."""
    match action:
        case Measure(meter_id):
            return f"meter {meter_id}"
        case Visit(table_id):
            return f"visit {table_words(table_id)}"
        case Move(source, target, _bits):
            return f"{target} = {source}"
        case Track(zone, table_id):
            return f"look its connection up in zone {zone}, goto {table_words(table_id)}"
        case Commit(zone, mark):
            marked = "" if mark is None else f", marked {mark}"
            return f"remember its connection in zone {zone}{marked}"
        case Conjunction(conj_id, clause, clauses):
            return f"clause {clause} of {clauses} of conj_id {conj_id:#x}"
        case _:
            return str(action)
