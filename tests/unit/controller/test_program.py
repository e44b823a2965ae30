"""The program's options: what cannot be right is refused with one line, before anything is started."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from controller import credentials
from controller.__main__ import follow_certificates, main, parser
from controller.listening import where
from controller.metrics import Metrics
from controller.serve import ListenError, listen
from pki.directory import CONTROLLER, init, read_cert
from pki.ends import Ends
from store.options import OptionError

TOKEN = "0123456789abcdef0123456789abcdef"

DIES = """
import threading
from controller import __main__ as program

def main():
    thread = threading.Thread(target=lambda: {work}, name="committer")
    thread.start()
    thread.join()
    print("went on")

program.main = main
program.run()
"""


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:80", "::1", 80),
        (":8080", "0.0.0.0", 8080),
        ("localhost:0", "localhost", 0),
    ],
)
def test_listen_is_host_and_port(given: str, host: str, port: int) -> None:
    assert where(given) == (host, port)


@pytest.mark.parametrize("given", ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"])
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(OptionError, match=r"127\.0\.0\.1:8080"):
        where(given)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "example.net", ""])
@pytest.mark.parametrize("have", ["nothing", "tokens"])
def test_an_open_door_is_refused(
    host: str, have: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    options = {
        "nothing": [],
        "tokens": ["--token-file", str(tokens)],
    }[have]
    assert main(["--listen", f"{host}:0", *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "give --tls-cert and --tls-key" in said
    assert "--insecure" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tls-cert", "cert.pem"], "give both"),
        (["--token-file", "/nonexistent/tokens"], "there is no /nonexistent/tokens; make it"),
        (["--etcd", "ftp://x"], "--etcd"),
        (["--bmp-from", "10.0.0.0/8"], "give --bmp-listen too"),
        (["--bmp-listen", "5000"], "--bmp-listen: expected HOST:PORT"),
        (["--bmp-listen", "127.0.0.1:0", "--bmp-from", "10.0.0.1/8"], "--bmp-from: expected CIDRs"),
        (["--bmp-listen", "127.0.0.1:0", "--bmp-grace-s", "0"], "--bmp-grace-s: expected more than 0"),
        (["--rate-limit", "-1"], "--rate-limit"),
        (["--audit-file", "/nonexistent/audit"], "cannot append to /nonexistent/audit"),
        (
            ["--listen", "127.0.0.1:0", "--tls-cert", "/nonexistent/c", "--tls-key", "/nonexistent/k"],
            "cannot use",
        ),
    ],
)
def test_options_that_cannot_be_right_are_refused(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        assert main(["--listen", f"127.0.0.1:{port}"]) == 1
        said = capsys.readouterr().err
        assert f"127.0.0.1:{port} is in use by another program" in said
        assert said.count("\n") == 1


def test_an_address_that_is_not_ours_cannot_be_listened_on() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:80"):
        listen("192.0.2.1", 80)


def test_the_port_can_be_any_free_one() -> None:
    with listen("127.0.0.1", 0) as bound:
        assert bound.getsockname()[1] > 0
        assert not bound.getblocking()


def test_tokens_that_everybody_can_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    for mode, warned in ((0o600, False), (0o640, False), (0o644, True)):
        caplog.clear()
        tokens.chmod(mode)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            where = f"127.0.0.1:{taken.getsockname()[1]}"
            assert main(["--listen", where, "--token-file", str(tokens)]) == 1
        assert (f"file={tokens} others on this host can read or change it" in caplog.text) is warned


def test_keys_that_others_can_read_or_change_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pki"
    init(path, [])

    def told() -> set[str]:
        caplog.clear()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            assert main(["--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--pki", str(path)]) == 1
        return {each.args[0].name for each in caplog.records if "can read or change it" in each.msg}

    assert told() == set()
    for each in ("ca.key", "controller.key", "etcd.key"):
        (path / each).chmod(0o777)
    (path / "ca.pem").chmod(0o644)
    path.chmod(0o755)
    assert told() == {"ca.key", "controller.key"}
    (path / "ca.key").chmod(0o640)
    (path / "controller.key").chmod(0o660)
    path.chmod(0o777)
    assert told() == {"controller.key", "pki"}


def test_a_thread_that_dies_ends_the_program_and_the_log_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES.format(work="1 / 0")], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "event=failed thread=committer" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_controller_that_etcd_refuses_says_so_in_one_line() -> None:
    """As after `polder etcd secure`, with a certificate that is no user's."""
    work = '(_ for _ in ()).throw(program.PermissionDenied("etcd refuses this client"))'
    done = subprocess.run(
        [sys.executable, "-c", DIES.format(work=work)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "event=failed thread=committer why='etcd refuses this client' next=" in line
    assert "polder etcd secure --user" in line


def test_the_ends_of_all_its_certificates_are_metrics(tmp_path: Path) -> None:
    path = tmp_path / "pki"
    init(path, [])
    options = parser().parse_args(["--pki", str(path), "--etcd", "https://127.0.0.1:2379"])
    credentials.complete(options, CONTROLLER)
    metrics = Metrics()
    follow_certificates(Ends(credentials.certificates(options)), metrics)
    told = {
        line.split(" ")[0]: float(line.split(" ")[1])
        for line in metrics.render().decode().splitlines()
        if line.startswith("polder_certificate_end_seconds")
    }
    assert told == {
        f'polder_certificate_end_seconds{{file="{path / name}"}}': read_cert(
            path / name, ""
        ).not_valid_after_utc.timestamp()
        for name in ("controller.pem", "ca.pem")
    }
