"""The files of an authority: whole or not there, for their owner only, and never written over unasked."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from pki import files
from pki.certificate import PkiError, alternative_names, common_name
from pki.directory import Directory, init, pair, read_cert, read_identity, read_key


def modes(path: Path) -> set[int]:
    return {each.stat().st_mode & 0o777 for each in path.iterdir()}


def test_init_makes_what_a_cluster_needs(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pki"
    init(path, ["192.0.2.1"])
    names = {each.name for each in path.iterdir()}
    assert names == {
        f"{name}.{kind}" for name in ("ca", "etcd", "controller", "root") for kind in ("pem", "key")
    }
    assert (path.stat().st_mode & 0o777, modes(path)) == (0o700, {0o600})
    assert [each.name for each in path.parent.iterdir()] == ["pki"], "nothing is left beside it"
    for name in ("etcd", "controller"):
        where = pair(path, name)
        assert set(alternative_names(read_cert(where.cert, ""))) >= {"192.0.2.1", "127.0.0.1", "localhost"}
        context = ssl.create_default_context(cafile=str(path / "ca.pem"))
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        context.load_cert_chain(where.cert, where.key)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_nobody_else_may_write_above_what_is_made(tmp_path: Path) -> None:
    init(tmp_path / "a" / "b" / "pki", [])
    files.directory(tmp_path / "c" / "d" / "node")
    for above in ("a", "a/b", "c", "c/d"):
        assert (tmp_path / above).stat().st_mode & 0o777 == 0o755, above
    for made in ("a/b/pki", "c/d/node"):
        assert (tmp_path / made).stat().st_mode & 0o777 == 0o700, made


def test_what_is_there_already_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir(mode=0o750)
    files.directory(tmp_path / "node")
    assert (tmp_path / "node").stat().st_mode & 0o777 == 0o750


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    init(tmp_path / "pki", [])
    before = {each.name: each.read_bytes() for each in (tmp_path / "pki").iterdir()}
    with pytest.raises(PkiError, match="not written over"):
        init(tmp_path / "pki", [])
    assert {each.name: each.read_bytes() for each in (tmp_path / "pki").iterdir()} == before


def test_an_init_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="host name"):
        init(tmp_path / "pki", ["no host"])
    assert not list(tmp_path.iterdir())


def test_of_two_at_once_one_makes_it(tmp_path: Path) -> None:
    slower = files.new_directory(tmp_path / "pki")
    (slower.__enter__() / "file").touch()
    init(tmp_path / "pki", [])
    with pytest.raises(PkiError, match="cannot make"):
        slower.__exit__(None, None, None)
    assert not (tmp_path / "pki" / "file").exists()
    assert Directory.open(tmp_path / "pki")


def test_issued_again_it_is_the_same_with_a_later_end(tmp_path: Path) -> None:
    init(tmp_path, ["192.0.2.1"])
    directory = Directory.open(tmp_path)
    old = read_identity(pair(tmp_path, "etcd"), "")
    new = read_identity(directory.issue("etcd"), "")
    assert new.cert.serial_number != old.cert.serial_number
    assert new.cert.public_key() == old.cert.public_key()
    assert set(alternative_names(new.cert)) == set(alternative_names(old.cert))
    changed = read_identity(directory.issue("etcd", ["192.0.2.9"]), "")
    assert (common_name(changed.cert), alternative_names(changed.cert)) == ("etcd", ("192.0.2.9",))


def test_a_crash_between_key_and_certificate_is_taken_up(tmp_path: Path) -> None:
    directory = Directory.create(tmp_path)
    key = directory.issue("backup").key.read_bytes()
    pair(tmp_path, "backup").cert.unlink()
    assert directory.issue("backup").key.read_bytes() == key


@pytest.mark.parametrize("name", ["ca", "", "../x", "a/b", ".hidden"])
def test_a_name_that_is_no_file_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PkiError, match="cannot be the name"):
        Directory.create(tmp_path).issue(name)


def test_faults_name_the_file_and_the_cure(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match=r"there is no .*ca\.pem; make it with: polder pki init"):
        Directory.open(tmp_path)
    directory = Directory.create(tmp_path)
    one, two = directory.issue("one"), directory.issue("two")
    two.key.write_bytes(one.key.read_bytes())
    with pytest.raises(PkiError, match=r"two\.key is not the key of .*two\.pem"):
        read_identity(two, "")
    two.key.write_text("garbage")
    with pytest.raises(PkiError, match=r"two\.key holds no private key"):
        read_identity(two, "")
    two.cert.write_text("garbage")
    with pytest.raises(PkiError, match=r"two\.pem holds no certificate"):
        read_identity(two, "")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("open to all")
    path.chmod(0o644)
    files.write(path, b"secret")
    assert (path.read_bytes(), modes(tmp_path)) == (b"secret", {0o600})
    with pytest.raises(PkiError, match="cannot write"):
        files.write(tmp_path / "nowhere" / "file", b"")


def test_a_key_that_another_may_know_is_not_taken_for_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Directory.create(tmp_path).issue("node").key

    def read() -> object:
        return read_key(path, "join", read=files.read_own)

    assert read()
    for mode in (0o640, 0o604, 0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(PkiError, match=r"others may read or write .*node\.key: remove it, or chmod 600"):
            read()
    path.chmod(0o600)
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        with pytest.raises(PkiError, match=r"node\.key belongs to another user .*: remove it"):
            read()
    path.unlink()
    with pytest.raises(PkiError, match=r"there is no .*node\.key; join"):
        read()
    os.mkfifo(path, 0o600)
    with pytest.raises(PkiError, match=r"node\.key is no file"):
        read()
