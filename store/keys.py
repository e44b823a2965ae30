"""Where each kind of value lives: the only place that knows the shape of a key.

    pools/<name>                        Pool
    tenants/<name>                      Tenant
    usage/<tenant>                      Usage, in the transaction that assigns or frees
    tokens/<name>                       Token
    joins/<node>                        Join, under a lease
    events/<id>                         Event, under a lease
    nodes/<name>                        Node
    peers/<name>                        Peer
    services/<name>                     Service
    withdrawing/<pool>/<address>        Withdrawing, while speakers may announce a deleted service's address
    policies/<name>                     Policy
    drains/<noun>/<name>                Drain, while a node or a peer is drained
    endpoints/<id>                      Endpoint, the record
    moves/<id>                          Move, while the node that the endpoint leaves delivers it
    pending/<id>                        Pending, while many endpoints are made together or not at all
    blocks/<pool>/<cidr>                Block, the claim
    addresses/<pool>/<block>/<address>  Address, one key for each address that is not free
    node/<node>/endpoints/<id>          Endpoint, the node's copy, written in the same transaction
    node/<node>/blocks/<cidr>           Block, the node's copy, likewise
    node/<node>/displaced/<address>     Displaced, for the node that owns the block
    node/<node>/moves/<id>              Move, the copies of the two nodes, written in the same transaction
    node/<node>/attachments/<endpoint>  Attachment, written by the node's agent
    node/<node>/ready/<prefix>          Ready, written by the node's agent
    node/<node>/advertised/<prefix>     Advertised, written by the node's speaker
    node/<node>/imported/<prefix>       Imported, likewise
    node/<node>/health/<service>        Health, written by the node's agent
    direct/<node>/<other>               OnLink, what another node on its segment has
    compiled/<node>/rules/<policy>      NodePolicy, written by the controller that has the duty of policies
    compiled/<node>/groups/<tenant>     Group, likewise; the tenant is `-` for endpoints without tenant
    compiled/<node>/told/<endpoint>     Told, likewise, after all that concerns the endpoint
    telling                             Telling, while there is a tenant or a policy
    telling/<set>/<shard>               AddressSet, for every node; the first shard is there while the set is
    node/<node>/asked/<id>              Question, written by a controller, under a lease
    node/<node>/answered/<id>           Answered, written by the node's agent, under a lease
    sessions/<node>/<peer>              Session, written by the node's speaker
    verified/<node>/<peer>              Verified, under the lease of the controller that hears the router
    alive/<node>/<program>              Alive, under the program's lease
    lost/<node>                         Lost, while none of the node's programs lives
    cluster                             Cluster, the id of the etcd cluster that all this is of
    restore                             Restore, how the last restored backup was completed
    restore-begun                       under which nonce nodes were asked what they hold
    restore-finish                      the nonce under which nobody else is to be waited for
    restore-lacks-pools                 in which cluster pools were missing of what nodes hold
    node/<node>/holding                 Holding, what the node's agent reads from its switch
    leader/<duty>                       who has an elected duty, under its lease
    recalled/<ticket>                   that a lost transaction must not be applied any more, under a lease

All below `/polder/v1/`. What one node needs of its own is below `node/<node>/`, so that one watch
brings it and nobody else's; what only its agent needs, and may be much, is below `compiled/<node>/`.
A prefix is written with `-` in place of `/`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from store.model import (
    Address,
    AddressSet,
    Advertised,
    Alive,
    Answered,
    Attachment,
    Block,
    Cluster,
    Displaced,
    Drain,
    Endpoint,
    Event,
    Group,
    Health,
    Holding,
    Imported,
    Join,
    Lost,
    Move,
    Node,
    NodePolicy,
    OnLink,
    Peer,
    Pending,
    Policy,
    Pool,
    Question,
    Ready,
    Restore,
    Service,
    Session,
    Telling,
    Tenant,
    Token,
    Told,
    Usage,
    Value,
    Verified,
    Withdrawing,
)

ROOT = "/polder/v1/"

V = TypeVar("V", bound=Value, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[V]):
    """A family of keys that hold one type of value. `{}` in the template stands for one part of the key."""

    model: type[V]
    template: str

    def key(self, *parts: object) -> str:
        """The key of one value. Takes exactly as many parts as the template has places."""
        shape, places = _shape(self.template)
        if len(parts) != places:
            raise ValueError(f"{self.template} takes {places} parts, not {len(parts)}")
        return shape % tuple(map(_part, parts))

    def prefix(self, *parts: object) -> str:
        """What the keys begin with that have these first parts: `BLOCKS.prefix("default")`."""
        pieces = self.template.split("{}")
        texts = [_part(part) for part in parts]
        return (
            ROOT
            + "".join(piece + text for piece, text in zip(pieces, texts, strict=False))
            + pieces[len(texts)]
        )

    def parts(self, key: str) -> tuple[str, ...] | None:
        """The parts of a key of this family; None when the key is of another."""
        match = _pattern(self.template).fullmatch(key)
        return match and match.groups()


@cache
def _shape(template: str) -> tuple[str, int]:
    """A template for `%`, and how many places it has."""
    return ROOT + template.replace("{}", "%s"), template.count("{}")


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(ROOT + template).replace(r"\{\}", "([^/]*)"))


def _part(part: object) -> str:
    text = part if isinstance(part, str) else str(part)
    if not text:
        raise ValueError("a part of a key cannot be empty")
    return text.replace("/", "-") if "/" in text else text


POOLS = Kind(Pool, "pools/{}")
TENANTS = Kind(Tenant, "tenants/{}")
USAGE = Kind(Usage, "usage/{}")
TOKENS = Kind(Token, "tokens/{}")
JOINS = Kind(Join, "joins/{}")
EVENTS = Kind(Event, "events/{}")
NODES = Kind(Node, "nodes/{}")
PEERS = Kind(Peer, "peers/{}")
SERVICES = Kind(Service, "services/{}")
WITHDRAWING = Kind(Withdrawing, "withdrawing/{}/{}")
POLICIES = Kind(Policy, "policies/{}")
DRAINS = Kind(Drain, "drains/{}/{}")
ENDPOINTS = Kind(Endpoint, "endpoints/{}")
MOVES = Kind(Move, "moves/{}")
PENDING = Kind(Pending, "pending/{}")
BLOCKS = Kind(Block, "blocks/{}/{}")
ADDRESSES = Kind(Address, "addresses/{}/{}/{}")
NODE_ENDPOINTS = Kind(Endpoint, "node/{}/endpoints/{}")
NODE_BLOCKS = Kind(Block, "node/{}/blocks/{}")
DISPLACED = Kind(Displaced, "node/{}/displaced/{}")
NODE_MOVES = Kind(Move, "node/{}/moves/{}")
ATTACHMENTS = Kind(Attachment, "node/{}/attachments/{}")
READY = Kind(Ready, "node/{}/ready/{}")
ADVERTISED = Kind(Advertised, "node/{}/advertised/{}")
IMPORTED = Kind(Imported, "node/{}/imported/{}")
HEALTH = Kind(Health, "node/{}/health/{}")
ON_LINK = Kind(OnLink, "direct/{}/{}")
RULES = Kind(NodePolicy, "compiled/{}/rules/{}")
GROUPS = Kind(Group, "compiled/{}/groups/{}")
SETS = Kind(AddressSet, "telling/{}/{}")
FORMER_SETS = Kind(AddressSet, "compiled/{}/sets/{}/{}")
"""Where controllers of before 2026-12 write what one node needs: agents that are newer read it there."""
TOLD = Kind(Told, "compiled/{}/told/{}")
TELLING = Kind(Telling, "telling")
ASKED = Kind(Question, "node/{}/asked/{}")
ANSWERED = Kind(Answered, "node/{}/answered/{}")
SESSIONS = Kind(Session, "sessions/{}/{}")
VERIFIED = Kind(Verified, "verified/{}/{}")
ALIVE = Kind(Alive, "alive/{}/{}")
LOST = Kind(Lost, "lost/{}")
CLUSTER = Kind(Cluster, "cluster")
RESTORE = Kind(Restore, "restore")
HOLDING = Kind(Holding, "node/{}/holding")

KINDS: Sequence[Kind[Value]] = (
    POOLS,
    TENANTS,
    USAGE,
    TOKENS,
    JOINS,
    EVENTS,
    NODES,
    PEERS,
    SERVICES,
    WITHDRAWING,
    POLICIES,
    DRAINS,
    ENDPOINTS,
    MOVES,
    PENDING,
    BLOCKS,
    ADDRESSES,
    NODE_ENDPOINTS,
    NODE_BLOCKS,
    DISPLACED,
    NODE_MOVES,
    ATTACHMENTS,
    READY,
    ADVERTISED,
    IMPORTED,
    HEALTH,
    ON_LINK,
    RULES,
    GROUPS,
    SETS,
    FORMER_SETS,
    TOLD,
    TELLING,
    ASKED,
    ANSWERED,
    SESSIONS,
    VERIFIED,
    ALIVE,
    LOST,
    CLUSTER,
    RESTORE,
    HOLDING,
)


def kind_of(key: str) -> Kind[Value] | None:
    """The family a key belongs to; None for a key that is not Polder's or holds no value (an election)."""
    return next((kind for kind in KINDS if kind.parts(key) is not None), None)


RESTORE_BEGUN = f"{ROOT}restore-begun"
"""In which cluster and under which nonce nodes were asked last what they hold."""

FINISH = f"{ROOT}restore-finish"
"""The nonce of the restored backup that an operator has told to complete now."""

LACKS_POOLS = f"{ROOT}restore-lacks-pools"
"""The cluster whose restored backup lacked pools of what nodes hold: people say when all is there again."""


LEADERS = f"{ROOT}leader/"


def leader(duty: str) -> str:
    """The key of an elected duty."""
    return f"{LEADERS}{_part(duty)}"


def recalled(ticket: str) -> str:
    """The key whose being there recalls the transactions with a ticket."""
    return f"{ROOT}recalled/{_part(ticket)}"


NODES_OWN = f"{ROOT}node/"
"""What every key begins with that is some node's own."""


def owner(key: str) -> str | None:
    """The node whose own a key is."""
    return key[len(NODES_OWN) :].partition("/")[0] if key.startswith(NODES_OWN) else None


def node_prefix(node: str) -> str:
    """What every key begins with that is one node's own."""
    return f"{NODES_OWN}{_part(node)}/"


COMPILED = f"{ROOT}compiled/"
"""What every key begins with that is compiled of policies, for whatever node."""


def compiled_for(key: str) -> str | None:
    """The node that a key is compiled for."""
    return key[len(COMPILED) :].partition("/")[0] if key.startswith(COMPILED) else None


def compiled_prefix(node: str) -> str:
    """What every key begins with that is compiled of policies for one node."""
    return f"{COMPILED}{_part(node)}/"
