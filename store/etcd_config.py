"""Where etcd is and how to prove who we are to it. Checked when made, so that mistakes are found at start."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

DEADLINE_S = 5.0
CLIENT_PORT = 2379

# etcd answers pings that come more often than every 5 s, or with no stream open, by closing the connection.
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    # Where nothing is sent, as on a watch, gRPC would else send two pings and then one a minute.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 3_000),  # of the pings that gRPC sends for flow control; else 60 s
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # in fact the time that one attempt to connect may take
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

Pems = tuple[bytes | None, bytes | None, bytes | None]
"""The PEM texts of CA, key and certificate, in the order that gRPC takes them."""


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """How to reach etcd.

    Args:
        endpoints: client URLs of members of one cluster, `http://` or `https://`, all of one scheme.
        ca: PEM file that the servers' certificates are checked against; None is gRPC's own list.
        cert, key: PEM files of the client certificate; both or none, and only with https.
        deadline_s: the longest that one request takes, all its attempts together.

    Raises:
        ValueError: an endpoint is no such URL, or the parts do not fit together. For people, one line.
    """

    endpoints: tuple[str, ...]
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    deadline_s: float = DEADLINE_S

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise ValueError("no etcd endpoint given; expected URLs such as http://127.0.0.1:2379")
        for url in self.endpoints:
            target(url)
        schemes = {urlsplit(url).scheme for url in self.endpoints}
        if len(schemes) > 1:
            raise ValueError("etcd endpoints mix http and https; use one of them for all")
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client certificate needs its key and a key its certificate; give both")
        if "https" not in schemes and (self.ca or self.cert):
            raise ValueError(f"certificates are of no use with {self.endpoints[0]}; use https://")

    def read_tls(self) -> Pems:
        """What the files hold now. Raises OSError."""
        ca, key, cert = (path.read_bytes() if path else None for path in (self.ca, self.key, self.cert))
        return ca, key, cert

    def plain_and_remote(self) -> str | None:
        """The first endpoint that keys and values would go to in the clear over a network; None if none."""
        return next((url for url in self.endpoints if _plain_and_remote(url)), None)


def target(url: str) -> str:
    """`host:port` of an endpoint's URL, for gRPC. The port is 2379 when left out. Raises ValueError."""
    wrong = f"{url[:128]!r} is not an etcd endpoint; expected a URL such as http://127.0.0.1:2379"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or CLIENT_PORT
    except ValueError:
        raise ValueError(wrong) from None
    extra = parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in {"http", "https"} or not host or extra:
        raise ValueError(wrong)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain_and_remote(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return parts.scheme == "http" and not local
