"""One example of each operation, as the document shows it and a test sends it: in this order, from nothing.

Each can be sent after those before it and is answered with the status that stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One request, and the status of its answer."""

    status: int = 200
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Fields | None = None


CREATE = {"If-None-Match": "*"}
PEM = "-----BEGIN CERTIFICATE REQUEST-----\nMIH...\n-----END CERTIFICATE REQUEST-----\n"

POOL, NODE, PEER, TENANT = ({"name": name} for name in ("default", "node-1", "tor-a", "shop"))
SPARE_POOL, SPARE_NODE, SPARE_PEER, SPARE_TENANT = (
    {"name": name} for name in ("lab", "node-2", "tor-b", "bank")
)
ENDPOINT = {"id": "web-1"}
SERVICE, SPARE_SERVICE = {"name": "web"}, {"name": "dns"}
POLICY, SPARE_POLICY = {"name": "web-in"}, {"name": "no-telnet"}

EXAMPLES: Mapping[tuple[str, str], Example] = {
    ("GET", "/healthz"): Example(),
    ("GET", "/readyz"): Example(),
    ("POST", "/v1/pools"): Example(
        201, body={**POOL, "cidr": "10.64.0.0/16", "reserved": ["10.64.0.0/28"], "communities": ["64500:100"]}
    ),
    ("GET", "/v1/pools"): Example(query={"limit": "500"}),
    ("GET", "/v1/pools/{name}"): Example(path=POOL),
    ("PUT", "/v1/pools/{name}"): Example(
        201, SPARE_POOL, headers=CREATE, body={**SPARE_POOL, "cidr": "2001:db8:64::/112", "priority": 10}
    ),
    ("PATCH", "/v1/pools/{name}"): Example(path=POOL, body={"cooldown_s": 30, "borrow": True}),
    ("GET", "/v1/pools/{name}/usage"): Example(path=POOL),
    ("GET", "/v1/pools/{name}/plan"): Example(path=POOL),
    ("DELETE", "/v1/pools/{name}"): Example(204, SPARE_POOL),
    ("POST", "/v1/tenants"): Example(201, body={**TENANT, "max_ipv4": 1000, "labels": {"unit": "retail"}}),
    ("GET", "/v1/tenants"): Example(query={"label": "unit=retail"}),
    ("GET", "/v1/tenants/{name}"): Example(path=TENANT),
    ("PUT", "/v1/tenants/{name}"): Example(
        201, SPARE_TENANT, headers=CREATE, body={**SPARE_TENANT, "segment": {"vlan": 120, "uplink": "eth1"}}
    ),
    ("PATCH", "/v1/tenants/{name}"): Example(path=TENANT, body={"max_ipv4": 2000}),
    ("DELETE", "/v1/tenants/{name}"): Example(204, SPARE_TENANT),
    ("POST", "/v1/nodes"): Example(201, body={**NODE, "asn": 64511, "labels": {"rack": "a"}}),
    ("GET", "/v1/nodes"): Example(query={"label": "rack=a"}),
    ("GET", "/v1/nodes/{name}"): Example(path=NODE),
    ("PUT", "/v1/nodes/{name}"): Example(
        201, SPARE_NODE, headers=CREATE, body={**SPARE_NODE, "asn": 64512, "mtu_bytes": 9000}
    ),
    ("PATCH", "/v1/nodes/{name}"): Example(path=NODE, body={"labels": {"rack": "b"}}),
    ("GET", "/v1/nodes/{name}/diff"): Example(503, NODE),
    ("GET", "/v1/nodes/{name}/drops"): Example(503, NODE),
    ("POST", "/v1/nodes/{name}:join-token"): Example(409, NODE, body={"ttl_s": 3600}),
    ("POST", "/v1/nodes/{name}:drain"): Example(201, NODE, body={"wait_s": 60, "for_s": 1800}),
    ("POST", "/v1/nodes/{name}:undrain"): Example(204, NODE),
    ("GET", "/v1/join"): Example(409),
    ("POST", "/v1/join"): Example(409, body={"node": "node-1", "secret": "given-once", "request": PEM}),
    ("POST", "/v1/join:renew"): Example(409, body={"certificate": PEM, "request": PEM}),
    ("DELETE", "/v1/nodes/{name}"): Example(204, SPARE_NODE),
    ("POST", "/v1/peers"): Example(201, body={**PEER, "address": "192.0.2.1", "asn": 64501}),
    ("GET", "/v1/peers"): Example(query={"node": "node-1"}),
    ("GET", "/v1/peers/{name}"): Example(path=PEER),
    ("PUT", "/v1/peers/{name}"): Example(
        201, SPARE_PEER, headers=CREATE, body={**SPARE_PEER, "address": "192.0.2.2", "asn": 64502}
    ),
    ("PATCH", "/v1/peers/{name}"): Example(path=PEER, body={"hold_time_s": 30}),
    ("POST", "/v1/peers/{name}:drain"): Example(201, PEER, body={}),
    ("GET", "/v1/drains"): Example(),
    ("POST", "/v1/peers/{name}:undrain"): Example(204, PEER),
    ("DELETE", "/v1/peers/{name}"): Example(204, SPARE_PEER),
    ("POST", "/v1/impact"): Example(
        body={
            "items": [
                {"method": "PATCH", "path": "/v1/pools/default", "body": {"advertise": "host"}},
                {"method": "DELETE", "path": "/v1/peers/tor-a"},
            ]
        }
    ),
    ("POST", "/v1/endpoints"): Example(
        201,
        body={
            **ENDPOINT,
            "node": "node-1",
            "tenant": "shop",
            "labels": {"app": "web"},
            "qos": {"egress_rate_kbps": 100000, "dscp": 46},
        },
    ),
    ("POST", "/v1/endpoints:batch"): Example(
        headers={"Idempotency-Key": "8c1f6a52-3d0b-4a57-9a40-1a8f1f1d6c9e"},
        body={"items": [{"node": "node-1"}, {"node": "node-1", "address": "10.64.0.99"}], "atomic": True},
    ),
    ("POST", "/v1/endpoints:release"): Example(
        body={"items": [{"id": "web-9"}, {"id": "web-10", "uid": "8c1f6a523d0b4a579a401a8f1f1d6c9e"}]}
    ),
    ("GET", "/v1/endpoints"): Example(query={"node": "node-1", "label": "app=web", "limit": "100"}),
    ("GET", "/v1/endpoints/{id}"): Example(path=ENDPOINT),
    ("GET", "/v1/endpoints/{id}/move"): Example(404, ENDPOINT),
    ("GET", "/v1/endpoints/{id}/stats"): Example(404, ENDPOINT),
    ("GET", "/v1/endpoints/{id}/drops"): Example(503, ENDPOINT),
    ("GET", "/v1/trace"): Example(
        query={"source": "web-1", "destination": "198.51.100.7", "protocol": "tcp", "port": "443"}
    ),
    ("PATCH", "/v1/endpoints/{id}"): Example(path=ENDPOINT, body={"labels": {"app": None, "tier": "front"}}),
    ("POST", "/v1/services"): Example(
        201,
        body={
            **SERVICE,
            "pool": "default",
            "tenant": "shop",
            "selector": {"app": "web"},
            "check": {"kind": "http", "port": 8080, "path": "/healthz"},
        },
    ),
    ("GET", "/v1/services"): Example(query={"pool": "default"}),
    ("GET", "/v1/services/{name}"): Example(path=SERVICE),
    ("PUT", "/v1/services/{name}"): Example(
        201,
        SPARE_SERVICE,
        headers=CREATE,
        body={**SPARE_SERVICE, "pool": "default", "address": "10.64.255.53", "selector": {"app": "dns"}},
    ),
    ("PATCH", "/v1/services/{name}"): Example(path=SERVICE, body={"check": {"interval_s": 5}}),
    ("DELETE", "/v1/services/{name}"): Example(204, SPARE_SERVICE),
    ("POST", "/v1/policies"): Example(
        201,
        body={
            **POLICY,
            "tenant": "shop",
            "selector": {"tier": "front"},
            "ingress": [
                {"action": "allow", "ports": [{"protocol": "tcp", "port": 443}]},
                {"action": "allow", "peers": [{"selector": {"app": "probe"}}, {"cidr": "192.0.2.0/24"}]},
                {"action": "deny", "log": True},
            ],
        },
    ),
    ("GET", "/v1/policies"): Example(query={"tenant": "shop"}),
    ("GET", "/v1/policies/{name}"): Example(path=POLICY),
    ("GET", "/v1/policies/{name}/stats"): Example(path=POLICY),
    ("PUT", "/v1/policies/{name}"): Example(
        201,
        SPARE_POLICY,
        headers=CREATE,
        body={
            **SPARE_POLICY,
            "order": 50,
            "egress": [{"action": "deny", "ports": [{"protocol": "tcp", "port": 23}]}],
        },
    ),
    ("PATCH", "/v1/policies/{name}"): Example(path=POLICY, body={"mode": "staged"}),
    ("DELETE", "/v1/policies/{name}"): Example(204, SPARE_POLICY),
    ("GET", "/v1/blocks"): Example(query={"pool": "default"}),
    ("GET", "/v1/addresses"): Example(query={"state": "assigned"}),
    ("GET", "/v1/addresses:check"): Example(),
    ("GET", "/v1/addresses/{address}"): Example(path={"address": "10.64.0.99"}),
    ("DELETE", "/v1/endpoints/{id}"): Example(204, ENDPOINT),
    ("GET", "/v1/restore"): Example(),
    ("POST", "/v1/restore:finish"): Example(),
    ("GET", "/v1/bgp/sessions"): Example(query={"node": "node-1", "peer": "tor-a", "state": "ESTABLISHED"}),
    ("GET", "/v1/bgp/sessions/{node}/{peer}"): Example(path={"node": "node-1", "peer": "tor-a"}),
    ("GET", "/v1/bgp/imported"): Example(query={"node": "node-1"}),
    ("GET", "/v1/bgp/routes"): Example(query={"node": "node-1"}),
    ("GET", "/v1/bgp/router-config"): Example(query={"vendor": "frr", "peer": "tor-a"}),
    ("GET", "/v1/bgp/router-check"): Example(query={"peer": "tor-a"}),
    ("GET", "/v1/bgp/differences"): Example(query={"node": "node-1"}),
    ("GET", "/v1/events"): Example(query={"severity": "warning", "max_age_s": "3600"}),
    ("POST", "/v1/tokens"): Example(201, body={"name": "ci", "role": "platform", "ttl_s": 2592000}),
    ("GET", "/v1/tokens"): Example(),
    ("GET", "/v1/tokens/{name}"): Example(path={"name": "ci"}),
    ("POST", "/v1/tokens/{name}:rotate"): Example(path={"name": "ci"}, body={"overlap_s": 3600}),
    ("DELETE", "/v1/tokens/{name}"): Example(204, {"name": "ci"}),
}
