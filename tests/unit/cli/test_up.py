"""The parts of `polder up` that need no etcd: back-off, addresses, the data directory, names, children."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.failure import Exit, Failure
from cli.link import ServerLink
from cli.server import Server, parse_server
from cli.session import Session
from cli.up.child import MAX_LOG_BYTES, Child, Program
from cli.up.data import held
from cli.up.etcd import embedded
from cli.up.host import node_name, register, why_no_agent
from cli.up.listen import Listen, found_free, parse_listen
from cli.up.signals import Signals, Stopped
from tests.unit.cli.canned import Reply, problem, serving


@pytest.fixture
def signals() -> Iterator[Signals]:
    with Signals() as entered:
        yield entered


def program(tmp_path: Path, name: str, script: str) -> Program:
    return Program(name, ["/bin/sh", "-c", script], tmp_path / f"{name}.log")


@pytest.mark.parametrize(
    ("text", "listen", "server"),
    [
        ("127.0.0.1:8080", Listen("127.0.0.1", 8080), Server("http", "127.0.0.1", 8080)),
        ("[::1]:0", Listen("::1", 0), Server("http", "::1", 0)),
    ],
)
def test_listen(text: str, listen: Listen, server: Server) -> None:
    assert parse_listen(text) == listen
    assert listen.server == server
    assert str(listen) == text


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "example:80", ""])
def test_not_an_address_to_listen_on(text: str) -> None:
    with pytest.raises(Failure, match="is not ADDRESS:PORT") as caught:
        parse_listen(text)
    assert caught.value.code == Exit.USAGE


def test_localhost_is_an_address_too() -> None:
    assert parse_listen("localhost:8080") == Listen("127.0.0.1", 8080)


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"])
def test_up_never_listens_for_other_hosts(text: str) -> None:
    with pytest.raises(Failure, match="can be reached from other hosts") as caught:
        parse_listen(text)
    assert caught.value.code == Exit.USAGE


def test_port_zero_is_a_free_one() -> None:
    assert found_free(Listen("127.0.0.1", 0), "--listen").port > 0


def test_a_port_in_use_is_said_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Failure, match="is in use by another program") as caught:
            found_free(Listen("127.0.0.1", taken.getsockname()[1]), "--listen ADDRESS:PORT")
    assert caught.value.advice == "choose another with --listen ADDRESS:PORT"


def test_an_address_of_another_host() -> None:
    with pytest.raises(Failure, match="is on no interface of this host"):
        found_free(Listen("192.0.2.1", 0), "--listen ADDRESS:PORT")


def test_the_data_directory_is_its_owners_alone(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "data") as data:
        assert data.path.stat().st_mode & 0o777 == 0o700
        assert data.etcd.is_dir()
        assert data.log("etcd").parent.is_dir()


def test_nobody_else_may_write_above_the_data_directory(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with held(tmp_path / "a" / "b" / "data") as data:
            above = data.path.parent
    finally:
        os.umask(before)
    assert [each.stat().st_mode & 0o777 for each in (above, above.parent)] == [0o755, 0o755]


def test_two_may_not_hold_one_data_directory(tmp_path: Path) -> None:
    whose = rf"another `polder up` \(pid {os.getpid()}\) uses"
    with held(tmp_path), pytest.raises(Failure, match=whose), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="cannot be used: ") as caught, held(tmp_path / "file" / "data"):
        pass
    assert "--data-dir" in caught.value.advice


def test_etcd_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with held(tmp_path / "data") as data, pytest.raises(Failure, match="etcd is not installed") as caught:
        embedded(data, 0)
    assert "--etcd URL" in caught.value.advice


def test_etcd_is_not_configured_by_the_users_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etcd").write_text("#!/bin/sh\n")
    (tmp_path / "etcd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ETCD_LISTEN_CLIENT_URLS", "http://192.0.2.1:2379")
    monkeypatch.setenv("ETCD_UNSUPPORTED_ARCH", "arm64")
    with held(tmp_path / "data") as data:
        etcd = embedded(data, 0)
    assert etcd.program.env is not None
    assert [key for key in etcd.program.env if key.startswith("ETCD_")] == ["ETCD_UNSUPPORTED_ARCH"]
    assert f"--listen-client-urls={etcd.url}" in etcd.program.argv


@pytest.mark.parametrize("given", ["Host", "host_1", "-a", "a" * 64])
def test_not_a_nodes_name(given: str) -> None:
    with pytest.raises(Failure, match="is not a name for a node") as caught:
        node_name(given)
    assert "--node NAME" in caught.value.advice


def test_no_agent_without_open_vswitch(tmp_path: Path) -> None:
    why = why_no_agent(tmp_path / "db.sock")
    assert ("needs root" if os.geteuid() else "Open vSwitch does not answer") in why


def session(url: str) -> Session:
    return Session("json", ServerLink(parse_server(url)))


def test_a_host_that_is_no_node_yet_becomes_one() -> None:
    with serving(problem(404, "There is no such thing"), Reply(201, {"name": "h"})) as canned:
        assert register(session(canned.url), "h", None) == ""
    assert canned.asked[1].body == {"name": "h", "asn": 64512}


def test_a_node_that_exists_is_left_as_it_is() -> None:
    with serving(Reply(200, {"name": "h", "asn": 64599})) as canned:
        assert register(session(canned.url), "h", 64599) == ""
        assert register(session(canned.url), "h", None) == ""
        assert "asn 64599, which is kept" in register(session(canned.url), "h", 64512)
    assert {asked.method for asked in canned.asked} == {"GET"}


def test_a_refused_node_is_a_failure() -> None:
    with serving(problem(503, "The store does not answer")) as canned, pytest.raises(Failure) as caught:
        register(session(canned.url), "h", None)
    assert caught.value.code == Exit.UNAVAILABLE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops(signals: Signals, number: signal.Signals) -> None:
    signal.pthread_kill(threading.get_ident(), number)
    with pytest.raises(Stopped):
        signals.wait(30)


def test_a_signal_that_is_ignored_does_not_stop() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
            signals.wait(0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_that_come_while_stopping_do_nothing_afterwards() -> None:
    with Signals():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_log_does_not_grow_for_ever(tmp_path: Path, signals: Signals) -> None:
    child = Child(program(tmp_path, "etcd", "exit 0"), signals.before)
    log = child.program.log
    log.write_bytes(b"x" * (MAX_LOG_BYTES + 1))
    child.bound_log()
    assert log.stat().st_size == 0
    assert (tmp_path / "etcd.log.1").stat().st_size == MAX_LOG_BYTES + 1


def test_last_words_of_a_program_whose_log_was_removed(tmp_path: Path, signals: Signals) -> None:
    child = Child(program(tmp_path, "etcd", "exit 0"), signals.before)
    assert child.last_words() == f"unknown: somebody removed {child.program.log}"
