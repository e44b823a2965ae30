"""What a node holds compared with what it should, kind by kind, each difference with its reason. Pure.

What should be is what the last pass wanted, so the reasons are those of `intent`. Only what carries Polder's
mark is looked at: what is of others is neither missing nor too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.delta import deletes, puts
from intent.neighbours import Neighbour, NeighbourKey
from intent.routes import Route, RouteKey, Rule
from intent.shares import (
    HANDLE,
    OTHERS,
    Class,
    ClassKey,
    Discipline,
    Filter,
    FilterKey,
    Share,
    ShareKey,
)
from openflow.flow import Flow, FlowKey
from openflow.meter import Meter
from openflow.words import flow_words, key_words, reason_words
from store.model import HeldKind, Unlike, UnlikeKind
from store.model.value import TEXT_CHARACTERS

NOT_WANTED = "nothing that this node holds needs it"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the bridge; `opened` once the switch has its link."""

    name: str
    endpoint: str
    opened: bool = True
    reason: str = field(default="", compare=False)


Key = str | int | Rule | NeighbourKey | RouteKey | ShareKey | FlowKey
Item = Port | Rule | Neighbour | Route | Share | Meter | Flow


def unlike(held: HeldKind, wanted: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[Unlike]:
    """Each thing of a kind that is missing, different or too much, in that order."""
    for key, value in puts(wanted, found).items():
        kind = UnlikeKind.DIFFERENT if key in found else UnlikeKind.MISSING
        yield _unlike(held, kind, key, value, found.get(key))
    for key, value in deletes(wanted, found).items():
        yield _unlike(held, UnlikeKind.UNEXPECTED, key, None, value)


def both(first: Iterable[Unlike], then: Iterable[Unlike]) -> list[Unlike]:
    """What was found twice: what a pass was about to change in between is no difference."""
    seen = set(first)
    return [each for each in then if each in seen]


def _unlike(held: HeldKind, kind: UnlikeKind, key: Key, wanted: Item | None, found: Item | None) -> Unlike:
    reason = reason_words(wanted) or (NOT_WANTED if wanted is None else "every node has it")
    return Unlike(
        held=held,
        kind=kind,
        key=_cut(key_of(key)),
        wanted=_cut(words_of(wanted) if wanted is not None else ""),
        found=_cut(words_of(found) if found is not None else ""),
        reason=_cut(reason),
    )


def key_of(key: Key) -> str:
    """What a thing is found by, in words."""
    match key:
        case RouteKey(destination, table):
            return f"{destination} table {table}"
        case NeighbourKey(oif, address):
            return f"{address} dev {oif}"
        case Rule():
            return f"{key.priority}: iif {key.iif} lookup {key.table} (IPv{key.version})"
        case Discipline():
            return f"htb dev {key.ifname}"
        case ClassKey(ifname, minor):
            return f"class {HANDLE:x}:{minor:x} dev {ifname}"
        case FilterKey(ifname, source):
            return f"from {source} dev {ifname}"
        case int():
            return f"meter {key}"
        case FlowKey():
            return key_words(key)
        case _:
            return str(key)


def words_of(item: Item) -> str:
    """What a thing says, in words."""
    match item:
        case Route():
            via = "".join(f" via {gateway}" for gateway in item.gateways)
            return f"{item.kind}{via}{f' dev {item.oif}' if item.oif else ''}"
        case Neighbour():
            return f"lladdr {item.mac} permanent"
        case Rule():
            return f"lookup {item.table}"
        case Discipline():
            return f"default {HANDLE:x}:{OTHERS:x}"
        case Class():
            return f"rate {item.rate_kbps}kbit ceil {item.ceil_kbps}kbit prio {item.priority}"
        case Filter():
            return f"class {HANDLE:x}:{item.minor:x}"
        case Meter():
            return f"{item.rate} {item.unit.value} burst {item.burst}"
        case Flow():
            return flow_words(item)
        case Port():
            return f"port of {item.endpoint}{'' if item.opened else ', whose link cannot be opened'}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 3] + "..."
