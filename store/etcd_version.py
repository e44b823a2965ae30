"""Whether the rights of an etcd hold against a hostile user: the version of each member decides.

Before these versions a user that may read or write one key gets at others: by a transaction within a
transaction (GHSA-rfx7-8w68-q57q), by what a put in a transaction tells (GHSA-x35m-3gp4-4fh5), by a watch
without an end (GHSA-xg4h-6gfc-h4m8), by alarms that anybody may raise (GHSA-q8m4-xhhv-38mg). Of 3.5 all of
that is mended in 3.5.33, but while the database is full 3.5 does not ask who deletes a key or changes a user
(etcd pull request 22386).
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from store.etcd_config import EtcdConfig, target

HOLDING = ((3, 6, 14), (3, 7, 1))
"""The first version of each series whose rights hold; those of later series do."""

NEEDED = ", ".join(".".join(map(str, each)) for each in HOLDING) + " or later"
TIMEOUT_S = 3.0
AGAIN_S = 30.0
MOST_BYTES = 4096

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

log = logging.getLogger(__name__)


def holds(version: str) -> bool:
    """Whether the rights of an etcd of this version hold."""
    found = _VERSION.match(version)
    if found is None:
        return False
    parts = tuple(map(int, found.groups()))
    return any(parts[:2] == first[:2] and parts >= first for first in HOLDING) or parts[:2] > HOLDING[-1][:2]


def version(config: EtcdConfig, url: str) -> str | None:
    """The version of the member at a URL; None when it does not tell. Raises OSError."""
    connection = _connection(config, url)
    try:
        connection.request("GET", "/version")
        told = json.loads(connection.getresponse().read(MOST_BYTES))
    except (HTTPException, ValueError):
        return None
    finally:
        connection.close()
    found = told.get("etcdserver") if isinstance(told, dict) else None
    return found if isinstance(found, str) and _VERSION.match(found) else None


def weak(config: EtcdConfig) -> list[str]:
    """What is to be said of each member that can be reached: one line for people, none when all is well."""
    said = []
    for url in config.endpoints:
        with suppress(OSError):
            said.append(_weakness(config, url))
    return [line for line in said if line]


def watch(config: EtcdConfig) -> None:
    """Have the log tell once of each member whose rights do not hold, as soon as it can be reached."""
    threading.Thread(target=_tell, args=(config,), name="etcd-version", daemon=True).start()


def _tell(config: EtcdConfig) -> None:
    waiting = list(config.endpoints)
    while waiting:
        for url in tuple(waiting):
            try:
                line = _weakness(config, url)
            except OSError:
                continue
            waiting.remove(url)
            if line:
                log.warning("event=weak-rights %s", line)
        if waiting:
            time.sleep(AGAIN_S)


def _weakness(config: EtcdConfig, url: str) -> str:
    """What is to be said of a member; nothing when its rights hold. Raises OSError."""
    found = version(config, url)
    if found is None:
        return f"etcd at {url} does not tell its version; its rights hold with {NEEDED}: docs/pki.md"
    if holds(found):
        return ""
    hold = f"the rights of etcd {found[:32]} at {url} do not hold against a hostile node"
    return f"{hold}; run {NEEDED}: docs/pki.md"


def _connection(config: EtcdConfig, url: str) -> HTTPConnection:
    host, _, port = target(url).rpartition(":")
    if not url.startswith("https:"):
        return HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S)
    context = ssl.create_default_context(cafile=config.ca)
    if config.cert is not None:
        context.load_cert_chain(config.cert, config.key, password=lambda: "")
    return HTTPSConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S, context=context)
