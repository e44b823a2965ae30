"""The values that Polder stores: frozen, validated when made, compared by value."""

from store.model.access import Join, Role, Secret, Tenant, Token, Usage
from store.model.compiled import AddressSet, Group, NodePolicy, NodeRule, Telling, Told
from store.model.direct import OnLink
from store.model.drain import Drain, Drained, DrainStage
from store.model.endpoint import (
    Address,
    AddressState,
    Advertised,
    Attachment,
    Displaced,
    Endpoint,
    EndpointKind,
    EndpointState,
    Ready,
    host_prefix,
)
from store.model.event import Event, Severity
from store.model.imported import Imported, ImportedPath
from store.model.move import Move
from store.model.node import Alive, Amiss, Lost, Node, Program, Uplink
from store.model.peer import DEFAULT_ROUTE, AddressFamily, Announces, Peer
from store.model.pending import Pending, PendingState
from store.model.policy import (
    PROTOCOLS,
    Action,
    Direction,
    Mode,
    PeerMatch,
    Policy,
    PortMatch,
    Rule,
)
from store.model.pool import Advertise, Block, Pool
from store.model.qos import Qos
from store.model.question import (
    Answered,
    DiffAsked,
    DiffSaid,
    HeldCount,
    HeldKind,
    Question,
    Unanswered,
    Unlike,
    UnlikeKind,
)
from store.model.restore import Cluster, HeldEndpoint, Holding, Restore
from store.model.segment import Membership, Segment
from store.model.service import Backend, Check, CheckKind, Health, NewService, Service, Withdrawing
from store.model.session import Session, SessionState, Transition
from store.model.value import IPAddress, IPNetwork, Value, is_inside, of_version
from store.model.verified import SHOWN_DIFFERENCES, Difference, DifferenceKind, Verified

__all__ = [
    "DEFAULT_ROUTE",
    "PROTOCOLS",
    "SHOWN_DIFFERENCES",
    "Action",
    "Address",
    "AddressFamily",
    "AddressSet",
    "AddressState",
    "Advertise",
    "Advertised",
    "Alive",
    "Amiss",
    "Announces",
    "Answered",
    "Attachment",
    "Backend",
    "Block",
    "Check",
    "CheckKind",
    "Cluster",
    "DiffAsked",
    "DiffSaid",
    "Difference",
    "DifferenceKind",
    "Direction",
    "Displaced",
    "Drain",
    "DrainStage",
    "Drained",
    "Endpoint",
    "EndpointKind",
    "EndpointState",
    "Event",
    "Group",
    "Health",
    "HeldCount",
    "HeldEndpoint",
    "HeldKind",
    "Holding",
    "IPAddress",
    "IPNetwork",
    "Imported",
    "ImportedPath",
    "Join",
    "Lost",
    "Membership",
    "Mode",
    "Move",
    "NewService",
    "Node",
    "NodePolicy",
    "NodeRule",
    "OnLink",
    "Peer",
    "PeerMatch",
    "Pending",
    "PendingState",
    "Policy",
    "Pool",
    "PortMatch",
    "Program",
    "Qos",
    "Question",
    "Ready",
    "Restore",
    "Role",
    "Rule",
    "Secret",
    "Segment",
    "Service",
    "Session",
    "SessionState",
    "Severity",
    "Telling",
    "Tenant",
    "Token",
    "Told",
    "Transition",
    "Unanswered",
    "Unlike",
    "UnlikeKind",
    "Uplink",
    "Usage",
    "Value",
    "Verified",
    "Withdrawing",
    "host_prefix",
    "is_inside",
    "of_version",
]
