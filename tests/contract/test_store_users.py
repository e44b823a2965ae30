"""Users and roles of a real etcd: a certificate is a user, and may do what its role says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller import rights
from controller.reading import put
from controller.secure import main
from lab.etcd import EtcdServer
from pki.directory import ROOT, Directory, pair
from store import etcd_version, keys
from store.client import Put
from store.errors import PermissionDenied, WrongState
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.etcd_users import EtcdUsers, Permission, secure
from store.model import Node

pytest_plugins = ["tests.support.pki"]
As = Callable[[str], EtcdStore]

pytestmark = pytest.mark.needs("etcd", "etcdctl")


def test_rights_are_asked_for_once_it_is_secured(open_etcd: EtcdServer, etcd_as: As) -> None:
    users = EtcdUsers(etcd_as(ROOT))
    etcd_as("stranger").get("/a")
    assert not users.enforced()
    for _ in range(2):
        secure(users, ["controller"])
    assert users.enforced()
    assert EtcdUsers(etcd_as("stranger")).enforced(), "anybody may ask"
    with pytest.raises(PermissionDenied, match="permission denied"):
        etcd_as("stranger").get("/a")
    etcd_as("controller").txn([], [Put("/a", b"")])


def test_a_role_is_what_it_was_last_said_to_be(secured_etcd: EtcdServer, etcd_as: As) -> None:
    users, bob = EtcdUsers(etcd_as(ROOT)), etcd_as("bob")
    for _ in range(2):
        users.ensure_role("bobs", [Permission("/bob/", write=True), Permission("/pools/")])
        users.ensure_user("bob", "bobs")
    bob.txn([], [Put("/bob/1", b"")])
    bob.range("/pools/")
    for forbidden in ("/pools/1", "/alice/1", "/bo"):
        with pytest.raises(PermissionDenied):
            bob.txn([], [Put(forbidden, b"")])
    for unreadable in ("/alice/", "/", "/bob"):
        with pytest.raises(PermissionDenied):
            bob.range(unreadable)
    users.ensure_role("bobs", [Permission("/bob/"), Permission("/pools/", write=True)])
    bob.txn([], [Put("/pools/1", b"")])
    with pytest.raises(PermissionDenied):
        bob.txn([], [Put("/bob/1", b"")])
    users.ensure_role("bobs", [Permission("/bob/")])
    with pytest.raises(PermissionDenied):
        bob.range("/pools/")


def test_a_user_that_is_removed_may_do_nothing(secured_etcd: EtcdServer, etcd_as: As) -> None:
    users, carol = EtcdUsers(etcd_as(ROOT)), etcd_as("carol")
    users.ensure_role("carols", [Permission("/carol/", write=True)])
    users.ensure_user("carol", "carols")
    carol.get("/carol/")
    for _ in range(2):
        users.remove_user("carol")
        users.remove_role("carols")
    assert "carol" not in users.names()
    with pytest.raises(PermissionDenied):
        carol.get("/carol/")


def test_who_is_no_root_changes_no_user(secured_etcd: EtcdServer, etcd_as: As) -> None:
    users = EtcdUsers(etcd_as(ROOT))
    users.ensure_role("mallorys", [Permission("/mallory/", write=True)])
    users.ensure_user("mallory", "mallorys")
    with pytest.raises(PermissionDenied):
        EtcdUsers(etcd_as("mallory")).ensure_user("mallory", ROOT)
    for name in ("mallory", "nobody"):
        with pytest.raises((PermissionDenied, WrongState)):
            EtcdUsers(etcd_as(name)).remove_user("mallory")


def test_two_at_once_make_the_same_role(secured_etcd: EtcdServer, etcd_as: As) -> None:
    roots = [EtcdUsers(etcd_as(ROOT)) for _ in range(4)]

    def make(users: EtcdUsers) -> None:
        users.ensure_role("shared", [Permission("/shared/", write=True), Permission("/pools/")])
        users.ensure_user("dave", "shared")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, roots))
    etcd_as("dave").txn([], [Put("/shared/1", b"")])


def test_requests_go_on_while_others_users_change(secured_etcd: EtcdServer, etcd_as: As) -> None:
    """etcd refuses what was on its way when any user changed; the store asks again."""
    users, eve = EtcdUsers(etcd_as(ROOT)), etcd_as("eve")
    users.ensure_role("eves", [Permission("/eve/", write=True)])
    users.ensure_user("eve", "eves")
    stop = threading.Event()

    def work(number: int) -> int:
        done = 0
        while not stop.is_set() or not done:
            eve.txn([], [Put(f"/eve/{number}", b"")])
            eve.get(f"/eve/{number}")
            done += 1
        return done

    with ThreadPoolExecutor(8) as threads:
        working = [threads.submit(work, number) for number in range(8)]
        try:
            for number in range(40):
                users.ensure_user(f"other-{number}", "eves")
        finally:
            stop.set()
        assert all(each.result() for each in working)


def test_polder_etcd_secure(
    pki: Directory, secured_etcd: EtcdServer, etcd_as: As, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"--etcd={secured_etcd.url}"
    root = etcd_as(ROOT)
    root.txn([], [put(keys.NODES, Node(name="old", asn=64511), "old")])
    EtcdUsers(root).ensure_role(rights.role("old"), [Permission("/before/")])
    EtcdUsers(root).ensure_user("old", rights.role("old"))
    assert main([url, f"--pki={pki.path}", "--user=controller", "--user=other"]) == 0
    said = capsys.readouterr()
    assert "root and controller and other may do everything" in said.out
    shown = pair(pki.path, ROOT)
    settings = EtcdConfig((secured_etcd.url,), ca=pki.ca, cert=shown.cert, key=shown.key)
    found = etcd_version.version(settings, secured_etcd.url)
    assert found
    warned = f"warning: the rights of etcd {found} at {secured_etcd.url} do not hold against a hostile node"
    assert (warned in said.err) is not etcd_version.holds(found)
    etcd_as("old").range(keys.POOLS.prefix())
    with pytest.raises(PermissionDenied):
        etcd_as("old").range("/before/")
    stranger = pki.issue("stranger")
    options = [url, f"--etcd-ca={pki.ca}", f"--etcd-cert={stranger.cert}", f"--etcd-key={stranger.key}"]
    assert main(options) == 1
    assert "show the certificate of etcd's user root" in capsys.readouterr().err
    assert main(["--etcd=http://127.0.0.1:1"]) == 2
    assert "rights need certificates" in capsys.readouterr().err
    assert main([url, "--pki=/does/not/exist"]) == 2
    assert "polder pki init --dir /does/not/exist" in capsys.readouterr().err
