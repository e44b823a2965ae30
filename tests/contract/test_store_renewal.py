"""A store goes on with a renewed certificate: a real etcd, which refuses the one before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.etcd import EtcdServer
from lab.wait import wait_until
from pki import files
from pki.certificate import cert_pem, load_cert
from pki.directory import ROOT, Directory, Pair, pair, read_identity
from store.client import Put
from store.errors import PermissionDenied, StoreError, Unavailable
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.etcd_users import EtcdUsers, Permission
from store.feed import Feed
from store.feed import Put as Told

pytest_plugins = ["tests.support.pki"]
As = Callable[[str], EtcdStore]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

SOON_S = 30.0
BRIEF = timedelta(seconds=5)


@pytest.fixture
def shown(tmp_path: Path) -> Pair:
    """The files that a program shows."""
    return Pair(tmp_path / "node.pem", tmp_path / "node.key")


@pytest.fixture
def program(pki: Directory, secured_etcd: EtcdServer, shown: Pair) -> Iterator[EtcdStore]:
    """The store of a program that is never restarted."""
    store = EtcdStore(EtcdConfig(secured_etcd.endpoints, ca=pki.ca, cert=shown.cert, key=shown.key))
    yield store
    store.close()


def give(place: Pair, source: Pair) -> None:
    """Put a certificate and its key where a program reads them: two files, one after the other."""
    files.write(place.key, source.key.read_bytes())
    files.write(place.cert, source.cert.read_bytes())


def answers(store: EtcdStore) -> bool:
    try:
        store.get("/shop/1")
    except StoreError:
        return False
    return True


def test_the_old_certificate_ends(
    pki: Directory, secured_etcd: EtcdServer, etcd_as: As, shown: Pair, program: EtcdStore, tmp_path: Path
) -> None:
    users = EtcdUsers(etcd_as(ROOT))
    users.ensure_role("shops", [Permission("/shop/", write=True)])
    users.ensure_user("shop", "shops")
    made = pki.issue("shop")
    give(shown, made)
    key = read_identity(made, "").key
    brief = pki.authority.issue(key.public_key(), "shop", lifetime=BRIEF)
    files.write(shown.cert, cert_pem(brief))
    old = Pair(tmp_path / "old.pem", tmp_path / "old.key")
    give(old, shown)
    program.txn([], [Put("/shop/1", b"")])
    told: list[str] = []
    feed = Feed(program, ["/shop/"])
    listener = threading.Thread(target=lambda: _listen(feed, told))
    listener.start()
    try:
        wait_until(lambda: "/shop/1" in told, SOON_S, "the feed to tell what is there")
        files.write(shown.cert, made.cert.read_bytes())
        ends = load_cert(old.cert.read_bytes()).not_valid_after_utc
        wait_until(lambda: datetime.now(UTC) > ends, SOON_S, "the old certificate to end")
        secured_etcd.restart()  # no connection stands that was made with the old one
        program.txn([], [Put("/shop/2", b"")])
        wait_until(lambda: "/shop/2" in told, SOON_S, "the feed to go on")
    finally:
        feed.close()
        listener.join()
    config = EtcdConfig(secured_etcd.endpoints, ca=pki.ca, cert=old.cert, key=old.key)
    late = EtcdStore(config)
    with pytest.raises(Unavailable, match="not expired"):
        late.get("/shop/1")
    late.close()


def _listen(feed: Feed, told: list[str]) -> None:
    for batch in feed.batches():
        told.extend(item.key for item in batch if isinstance(item, Told))


def test_the_old_user_is_removed(pki: Directory, etcd_as: As, shown: Pair, program: EtcdStore) -> None:
    users = EtcdUsers(etcd_as(ROOT))
    users.ensure_role("shops", [Permission("/shop/", write=True)])
    for name in ("before", "after"):
        users.ensure_user(name, "shops")
        pki.issue(name)
    give(shown, pair(pki.path, "before"))
    program.get("/shop/1")
    users.remove_user("before")
    with pytest.raises(PermissionDenied):
        program.get("/shop/1")
    give(shown, pair(pki.path, "after"))
    wait_until(lambda: answers(program), SOON_S, "the new certificate to be shown")


def test_what_is_half_written_is_not_shown(
    pki: Directory, etcd_as: As, shown: Pair, program: EtcdStore, caplog: pytest.LogCaptureFixture
) -> None:
    users = EtcdUsers(etcd_as(ROOT))
    users.ensure_role("shops", [Permission("/shop/", write=True)])
    for name in ("half", "whole"):
        users.ensure_user(name, "shops")
        pki.issue(name)
    give(shown, pair(pki.path, "half"))
    program.get("/shop/1")
    files.write(shown.key, pair(pki.path, "whole").key.read_bytes())

    def refused() -> bool:
        assert answers(program)
        return any("are not taken" in record.getMessage() for record in caplog.records)

    wait_until(refused, SOON_S, "the files to be looked at")
    users.remove_user("half")
    files.write(shown.cert, pair(pki.path, "whole").cert.read_bytes())
    wait_until(lambda: answers(program), SOON_S, "both to be shown")
