"""A NetworkPolicy of Kubernetes (networking.k8s.io/v1) as policies of Polder that mean the same.

There, what any policy allows is allowed, and what a policy isolates is denied the rest. So the rules become
one policy of allows, at order 500, and behind it, at 600, one that denies the rest of each direction that is
isolated: the allows of all policies come before. A namespace is a tenant; it is named by the label that
Kubernetes gives every namespace. What cannot be said here is a fault, with the field it stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import product
from typing import Any

from cli.document import Document, Fields
from cli.rest import Json

API_VERSION = "networking.k8s.io/v1"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
DEFAULT_NAMESPACE = "default"
REST_ORDER = 600
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
DIRECTIONS = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}
MAX_RANGES = 256

Path = tuple[str, ...]
Faults = list[tuple[str, str]]


class Untranslatable(Exception):
    """A field that cannot be said in Polder: where it stands, and what is wrong with it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(what)
        self.path = path
        self.what = what


Wrong = list[Untranslatable]


def is_network_policy(document: Document) -> bool:
    """Whether a document is one."""
    fields = document.fields
    return fields.get("kind") == "NetworkPolicy" and fields.get("apiVersion") == API_VERSION


def translated(
    document: Document, tenant: str | None, faults: Faults, *, tenant_in_name: bool = False
) -> list[Json]:
    """The policies that one document becomes; none, and a fault, when it cannot be translated whole.

    Args:
        document: a NetworkPolicy.
        tenant: in place of its namespace.
        faults: what is wrong is added here.
        tenant_in_name: the tenant stands in front of the names.
    """
    wrong: list[Untranslatable] = []
    try:
        made = list(_policies(document.fields, tenant, wrong))
        if tenant_in_name:
            made = [{**each, "name": f"{each['tenant']}-{each['name']}"} for each in made]
    except Untranslatable as fault:
        wrong.append(fault)
    faults += [(f"{document.place(*each.path)}, {'.'.join(each.path)}", each.what) for each in wrong]
    return [] if wrong else made


def _policies(fields: Fields, tenant: str | None, wrong: Wrong) -> Iterator[Json]:
    """The policies; what is wrong with a part of one is added to `wrong`."""
    metadata = _checked(fields.get("metadata"), ("metadata",), None)
    known = ("podSelector", "policyTypes", "ingress", "egress")
    spec = _checked(fields.get("spec"), ("spec",), known)
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise Untranslatable(("metadata", "name"), "is required")
    whose = tenant or metadata.get("namespace") or DEFAULT_NAMESPACE
    selectors: list[dict[str, str]] = [{}]
    with _noting(wrong):
        selectors = _selectors(spec.get("podSelector"), ("spec", "podSelector"))
        if len(selectors) > 1:
            raise Untranslatable(("spec", "podSelector"), "has several values; write a policy for each")
    common = {"tenant": whose, **({"selector": selectors[0]} if selectors[0] else {})}
    ways = [DIRECTIONS[kind] for kind in _types(spec)]
    allows: dict[str, list[Json]] = {direction: [] for direction, _ in ways}
    for direction, towards in ways:
        for number, rule in enumerate(_list(spec.get(direction), ("spec", direction))):
            with _noting(wrong):
                allows[direction].append(_rule(rule, ("spec", direction, str(number)), towards, wrong))
    if any(allows.values()):
        yield {"name": name, **common, **{way: rules for way, rules in allows.items() if rules}}
    rest = {direction: [{"action": "deny"}] for direction, _ in ways}
    yield {"name": f"{name}-rest", **common, "order": REST_ORDER, **rest}


def _types(spec: Mapping[str, Any]) -> list[str]:
    path = ("spec", "policyTypes")
    given = _list(spec.get("policyTypes"), path)
    for each in given:
        if each not in DIRECTIONS:
            raise Untranslatable(path, f"{each!r} is neither Ingress nor Egress")
    return given or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


@contextmanager
def _noting(wrong: Wrong) -> Iterator[None]:
    """Go on behind a part that is wrong, so that all that is wrong is told at once."""
    try:
        yield
    except Untranslatable as fault:
        wrong.append(fault)


def _rule(given: Any, path: Path, towards: str, wrong: Wrong) -> Json:
    rule = _checked(given, path, (towards, "ports"))
    peers: list[Json] = []
    for number, each in enumerate(_list(rule.get(towards), (*path, towards))):
        with _noting(wrong):
            peers += _peers(each, (*path, towards, str(number)))
    ports: list[Json] = []
    for number, each in enumerate(_list(rule.get("ports"), (*path, "ports"))):
        with _noting(wrong):
            ports.append(_port(each, (*path, "ports", str(number))))
    if len(peers) > MAX_RANGES:
        raise Untranslatable((*path, towards), f"is more than {MAX_RANGES} peers; write several rules")
    return {"action": "allow"} | ({"ports": ports} if ports else {}) | ({"peers": peers} if peers else {})


def _peers(given: Any, path: Path) -> Iterator[Json]:
    peer = _checked(given, path, ("podSelector", "namespaceSelector", "ipBlock"))
    if "ipBlock" in peer:
        if len(peer) > 1:
            raise Untranslatable((*path, "ipBlock"), "stands beside a selector")
        yield from ({"cidr": str(each)} for each in _ranges(peer["ipBlock"], (*path, "ipBlock")))
        return
    if not peer:
        raise Untranslatable(path, "has no podSelector, namespaceSelector or ipBlock")
    selectors = _selectors(peer.get("podSelector"), (*path, "podSelector")) if "podSelector" in peer else [{}]
    tenants: list[str | None] = [None]
    if "namespaceSelector" in peer:
        tenants = list(_namespaces(peer["namespaceSelector"], (*path, "namespaceSelector")))
    for tenant, selector in product(tenants, selectors):
        if tenant is None:
            yield {"selector": selector}
        else:
            yield ({"selector": selector} if selector else {}) | {"tenant": tenant}


def _namespaces(given: Any, path: Path) -> Iterator[str]:
    """The tenants that a selector of namespaces names. It can name them by the one label that all have."""
    for labels in _selectors(given, path):
        if not labels:
            raise Untranslatable(path, f"selects every namespace; name each by {NAMESPACE_LABEL}")
        if set(labels) != {NAMESPACE_LABEL}:
            raise Untranslatable(
                path, f"selects by other labels than {NAMESPACE_LABEL}; name each namespace by that"
            )
        yield labels[NAMESPACE_LABEL]


def _selectors(given: Any, path: Path) -> list[dict[str, str]]:
    """The sets of labels of which an endpoint has to have one: an expression `In` may give several."""
    selector = _checked(given, path, ("matchLabels", "matchExpressions"))
    labels = _checked(selector.get("matchLabels"), (*path, "matchLabels"), None)
    choices = [[(key, value)] for key, value in labels.items()]
    for number, each in enumerate(_list(selector.get("matchExpressions"), (*path, "matchExpressions"))):
        at = (*path, "matchExpressions", str(number))
        expression = _checked(each, at, ("key", "operator", "values"))
        if expression.get("operator") != "In" or not expression.get("values"):
            raise Untranslatable(
                at, f"operator {expression.get('operator')!r} has no translation; only In has"
            )
        choices.append([(str(expression.get("key")), value) for value in expression["values"]])
    found = []
    for chosen in product(*choices):
        made = dict(chosen)
        if all(made[key] == value for key, value in chosen):
            found.append(made)
    if not found:
        raise Untranslatable(path, "selects nothing")
    return found


def _ranges(given: Any, path: Path) -> list[IPv4Network | IPv6Network]:
    """A range without its exceptions, as ranges."""
    block = _checked(given, path, ("cidr", "except"))
    left = [_range(block.get("cidr"), (*path, "cidr"))]
    for number, each in enumerate(_list(block.get("except"), (*path, "except"))):
        gone = _range(each, (*path, "except", str(number)))
        if left and gone.version != left[0].version:
            raise Untranslatable((*path, "except"), f"{gone} is of another family than the range")
        left = [part for one in left for part in _without(one, gone)]
    if not left:
        raise Untranslatable(path, "leaves nothing of its range")
    return sorted(left)


def _without(
    one: IPv4Network | IPv6Network, gone: IPv4Network | IPv6Network
) -> list[IPv4Network | IPv6Network]:
    if not one.overlaps(gone):
        return [one]
    if gone.prefixlen <= one.prefixlen:
        return []
    return list(one.address_exclude(gone))  # type: ignore[arg-type]


def _range(given: Any, path: Path) -> IPv4Network | IPv6Network:
    try:
        if "%" not in str(given):
            return ip_network(str(given), strict=False)
    except ValueError:
        pass
    raise Untranslatable(path, f"{given!r} is no CIDR")


def _port(given: Any, path: Path) -> Json:
    port = _checked(given, path, ("protocol", "port", "endPort"))
    protocol = PROTOCOLS.get(str(port.get("protocol", "TCP")))
    if protocol is None:
        raise Untranslatable(
            (*path, "protocol"), f"{port.get('protocol')!r} is none of {', '.join(PROTOCOLS)}"
        )
    first, last = port.get("port"), port.get("endPort")
    if isinstance(first, str):
        raise Untranslatable(
            (*path, "port"), f"the port named {first!r} has no number here; write the number"
        )
    for field, number in (("port", first), ("endPort", last)):
        if number is not None and (not isinstance(number, int) or not 1 <= number <= 65535):
            raise Untranslatable((*path, field), f"{number!r} is no port")
    if last is not None and (first is None or last < first):
        raise Untranslatable((*path, "endPort"), "is less than port, or there is no port")
    given_ports = {"port": first, "end_port": last}
    return {"protocol": protocol} | {
        field: number for field, number in given_ports.items() if number is not None
    }


def _checked(given: Any, path: Path, known: tuple[str, ...] | None) -> Mapping[str, Any]:
    """A mapping with none but these keys; empty when there is none."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Untranslatable(path, "expected fields")
    for key in given:
        if known is not None and key not in known:
            raise Untranslatable((*path, key), f"has no translation; known are {', '.join(known)}")
    return given


def _list(given: Any, path: Path) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise Untranslatable(path, "expected a list")
    return given
