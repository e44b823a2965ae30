"""Exit codes, and what stands on standard error."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from cli.failure import Failure
from cli.server import Server, parse_server
from pki.certificate import Authority, cert_pem, key_pem, new_key
from tests.support.polder_up import POLDER
from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is taken and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 2),
        (401, 1),
        (403, 1),
        (404, 3),
        (405, 1),
        (409, 4),
        (422, 2),
        (500, 1),
        (408, 5),
        (502, 5),
        (503, 5),
        (504, 5),
    ],
)
def test_the_status_is_the_exit_code(polder: Polder, status: int, code: int) -> None:
    with serving(problem(status, "Refused", "for this reason")) as canned:
        ran = polder("pool", "get", "default", "--server", canned.url)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("polder: for this reason\n")


def test_each_pointer_is_a_line_and_the_next_step_comes_last(polder: Polder) -> None:
    reply = problem(422, "Not a valid pool", cidr="10.64.0.1/16 has host bits set", name="is empty")
    with serving(reply) as canned:
        ran = polder("pool", "create", "a", "--cidr", "10.64.0.1/16", "--server", canned.url)
    assert ran.err.splitlines() == [
        "polder: Not a valid pool",
        "  /cidr: 10.64.0.1/16 has host bits set",
        "  /name: is empty",
        "  next: correct the arguments; --help after the command describes them",
    ]


def test_a_reason_is_not_said_twice(polder: Polder) -> None:
    with serving(
        problem(422, "The request is not valid", "cidr: has host bits set", cidr="has host bits set")
    ) as canned:
        ran = polder("pool", "create", "a", "--cidr", "10.64.0.1/16", "--server", canned.url)
    assert ran.err.splitlines()[:2] == ["polder: The request is not valid", "  /cidr: has host bits set"]


def test_the_type_says_more_than_the_status(polder: Polder) -> None:
    full = {"type": "/problems/pool-full", "title": "Full", "status": 409, "detail": "pool a is full"}
    wrong = {"errors": [{"parameter": "limit", "detail": "is 1 to 1000"}, "odd", {}], "detail": 7}
    with serving(Reply(409, full), Reply(400, wrong)) as canned:
        ran = polder("endpoint", "create", "--node", "n", "--server", canned.url)
        odd = polder("endpoint", "list", "--server", canned.url)
    assert (ran.code, ran.err.splitlines()[0]) == (4, "polder: pool a is full")
    assert "name another pool" in ran.err.splitlines()[1]
    assert odd.err.splitlines()[1:3] == ["  ?limit: is 1 to 1000", "  /: "]


def test_not_found_and_conflict_say_where_to_look(polder: Polder) -> None:
    with serving(problem(404, "No such pool"), problem(409, "Pool in use")) as canned:
        missing = polder("pool", "get", "a", "--server", canned.url)
        in_use = polder("pool", "delete", "a", "--server", canned.url)
    assert missing.err.splitlines()[-1] == "  next: see which there are: polder pool list"
    assert in_use.err.splitlines()[-1] == "  next: see what uses it: polder address list --pool a -o wide"


@pytest.mark.parametrize(
    ("noun", "options"), [("pool", "--cidr=10.0.0.0/8"), ("node", "--asn=1"), ("endpoint", "--node=n")]
)
def test_what_exists_otherwise_can_be_set(polder: Polder, noun: str, options: str) -> None:
    reply = problem(409, "Taken", "a exists with another cooldown_s; change that one")
    with serving(reply) as canned:
        ran = polder(noun, "create", "a", options, "--server", canned.url)
    assert ran.code == 4
    assert ran.err.splitlines()[-1] == (
        f"  next: see what there is: polder {noun} list; what of it can be changed: polder {noun} set --help"
    )


def test_unavailable_says_when_to_try_again(polder: Polder) -> None:
    reply = problem(503, "etcd does not answer")
    with serving(Reply(reply.status, reply.body, {"Retry-After": "2"})) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert (ran.code, ran.err.splitlines()[-1]) == (5, "  next: try again in 2 s")


def test_when_to_try_again_does_not_hide_what_to_do(polder: Polder) -> None:
    silent = problem(503, "The node does not answer")
    with serving(Reply(503, silent.body, {"Retry-After": "2"})) as canned:
        ran = polder("node", "diff", "n", "--server", canned.url)
    advice = "  next: see whether the node's agent is up: polder node list; or try again in 2 s"
    assert (ran.code, ran.err.splitlines()[-1]) == (5, advice)


def test_a_fault_of_the_controller_is_in_its_log(polder: Polder) -> None:
    with serving(problem(500, "The controller failed")) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert ran.err.splitlines()[-1].startswith("  next: see the log of the controller")


def test_what_uses_it_is_asked_for_by_its_name(polder: Polder, tmp_path: Path) -> None:
    path = tmp_path / "n.yaml"
    for noun, cure in (
        ("node", "polder endpoint list --node n-7; polder peer list --node n-7; polder token list"),
        ("pool", "polder address list --pool n-7 -o wide"),
    ):
        path.write_text(f"kind: {noun}\nname: n-7\n")
        with serving(problem(409, "It is in use")) as canned:
            deleted = polder(noun, "delete", "n-7", "--server", canned.url)
            listed = polder("delete", "-f", str(path), "--server", canned.url)
        for ran in (deleted, listed):
            assert f"see what uses it: {cure}\n" in ran.err


def test_exit_code_goes_with_dry_run(polder: Polder) -> None:
    ran = polder("apply", "-f", "x.yaml", "--exit-code")
    assert ran.code == 2
    assert "--exit-code goes with --dry-run" in ran.err


def test_nobody_answers(polder: Polder, closed_port: int) -> None:
    ran = polder("pool", "list", "--server", f"http://127.0.0.1:{closed_port}")
    assert ran.code == 5
    assert ran.err.startswith(
        f"polder: no controller answers at http://127.0.0.1:{closed_port}: Connection refused"
    )
    assert "polder up" in ran.err


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(200, "<html>hello</html>", {"Content-Type": "text/html"}),
            "text/html where JSON was expected",
        ),
        (Reply(302, None, {"Location": "https://elsewhere.example"}), "a redirect (302)"),
        (Reply(200, ["no", "list"]), "not a list of items"),
        (Reply(200, {"items": "none"}), "not a list of items"),
        (Reply(200, '{"a":' * 20000 + "1" + "}" * 20000), "where JSON was expected"),
    ],
)
def test_something_else_answers(polder: Polder, reply: Reply, words: str) -> None:
    with serving(reply) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert ran.code == 1
    assert words in ran.err
    assert "POLDER_SERVER" in ran.err


def test_a_server_of_tls_is_named_with_https(polder: Polder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def alert() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x15\x03\x03\x00\x02\x02\x32")

        threading.Thread(target=alert, daemon=True).start()
        ran = polder("pool", "list", "--server", f"http://127.0.0.1:{server.getsockname()[1]}")
    assert ran.code == 1
    assert "speaks TLS" in ran.err
    assert "next: name it with https://" in ran.err


def test_an_error_that_is_no_problem_document(polder: Polder) -> None:
    with serving(Reply(502, "<html>bad gateway</html>")) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert ran.code == 5
    assert ran.err.startswith("polder: the server answered 502 without saying why\n")


@pytest.mark.parametrize("output", ["table", "json"])
def test_control_characters_never_reach_the_terminal(polder: Polder, output: str) -> None:
    evil = "a\x1b]0;owned\x07\r\n\x9b2J\u202eb"
    pool = {"name": evil, "cidr": evil, evil: [evil, {evil: evil}]}
    with serving(
        Reply(200, pool), Reply(200, {"items": [pool], "revision": 1}), problem(422, evil, cidr=evil)
    ) as canned:
        rest = ["-o", output, "--server", canned.url]
        texts = [
            polder("pool", "get", "x", *rest),
            polder("pool", "list", *rest),
            polder("pool", "get", "x", *rest),
        ]
    for ran in texts:
        assert set("\x1b\x07\r\x9b\u202e").isdisjoint(ran.out + ran.err)
    assert "owned" in texts[0].out
    assert len(texts[2].err.splitlines()) == 3


def test_markup_in_a_value_is_text(polder: Polder) -> None:
    with serving(Reply(200, {"items": [{"name": "[red]x[/red]"}], "revision": 1})) as canned:
        ran = polder("pool", "list", "--server", canned.url)
    assert "[red]x[/red]" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["pool", "create", "a"],
        ["pool", "create", "a", "--cidr", "x", "--cooldown-s", "soon"],
        ["node", "create", "n", "--asn", "64512", "--label", "novalue"],
        ["node", "create", "n", "--asn", "64512", "--label", "a=1", "--label", "a=2"],
        ["pol", "list"],
        ["--server", "controller:8080", "pool", "list"],
        ["--server", "ftp://controller", "pool", "list"],
        ["--server", "http://:80", "pool", "list"],
        ["--server", "http://host:99999", "pool", "list"],
        ["--server", "http://me:secret@127.0.0.1", "pool", "list"],
    ],
)
def test_usage(polder: Polder, arguments: list[str]) -> None:
    ran = polder(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "secret" not in ran.err


def test_a_ca_file_that_is_not_there(polder: Polder, tmp_path: Path) -> None:
    ran = polder("--server", "https://127.0.0.1:1", "--ca", str(tmp_path / "ca.pem"), "pool", "list")
    assert ran.code == 2
    assert "No such file" in ran.err


def test_the_token_goes_to_a_loopback_server(polder: Polder, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Reply(200, {"items": [], "revision": 1})) as canned:
        monkeypatch.setenv("POLDER_TOKEN", "s3cret")
        polder("pool", "list", "--server", canned.url)
    assert canned.asked[0].headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("token", ["s3cret", "two words", "s3cret\n", "s3crét"])
def test_the_token_never_goes_out_unencrypted_nor_into_a_message(
    polder: Polder, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("POLDER_TOKEN", token)
    ran = polder("pool", "list", "--server", "http://192.0.2.1")
    assert ran.code == 2
    assert "POLDER_TOKEN" in ran.err
    assert token.strip() not in ran.err


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://127.0.0.1:8080", Server("http", "127.0.0.1", 8080)),
        ("https://polder.example.net/", Server("https", "polder.example.net", 443)),
        ("http://[::1]:81/x/", Server("http", "::1", 81, "/x")),
    ],
)
def test_a_server_url(url: str, server: Server) -> None:
    assert parse_server(url) == server
    assert parse_server(server.url) == server


@pytest.mark.parametrize(
    "url",
    [
        "http://a b",
        "http://a..b",
        f"http://{'a' * 64}.example",
        "http://127.0.0.1:8080/\N{LATIN SMALL LETTER U WITH DIAERESIS}",
        "http://127.0.0.1:8080/a b",
        "http://",
    ],
)
def test_a_server_url_that_nobody_can_be_asked_at(polder: Polder, url: str) -> None:
    ran = polder("pool", "list", "--server", url)
    assert ran.code == 2
    assert ran.err.startswith(
        f"polder: --server {url} is not an http or https URL\n  next: give a URL such as"
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert Server("http", host, 80).loopback is loopback


def test_a_failure_without_advice_is_one_line() -> None:
    assert Failure("it failed").lines() == ["polder: it failed"]


ELSEWHERE = (
    Reply(404, "<html>not here</html>", {"Content-Type": "text/html"}),
    Reply(404),
    Reply(404, {"error": "not found"}),
    Reply(404, problem(404, "x").body | {"type": "/problems/no-such-path", "detail": "no such path: /v1/v1"}),
    Reply(404, problem(404, "Not Found").body | {"type": "about:blank"}),
    Reply(200),
)


@pytest.mark.parametrize("reply", ELSEWHERE)
def test_a_server_that_is_not_polder_does_not_say_that_something_is_absent(
    polder: Polder, tmp_path: Path, reply: Reply
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("kind: pool\nname: a\ncidr: 10.0.0.0/8\n")
    with serving(reply) as canned:
        deleted = polder("delete", "-f", str(path), "--server", canned.url)
        applied = polder("apply", "-f", str(path), "--server", canned.url)
    assert (deleted.code != 0, deleted.out) == (True, "")
    assert (applied.code != 0, applied.out) == (True, "")
    assert {asked.method for asked in canned.asked} == {"DELETE", "GET"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (ELSEWHERE[0], "what answers there is not a Polder controller"),
        (ELSEWHERE[2], "what answers there is not a Polder controller"),
        (ELSEWHERE[3], "next: check the path in --server"),
    ],
)
def test_a_path_that_is_not_there_is_no_thing_that_is_not_there(
    polder: Polder, reply: Reply, said: str
) -> None:
    with serving(reply) as canned:
        ran = polder("pool", "get", "a", "--server", canned.url)
    assert ran.code == 1
    assert said in ran.err


def test_an_endpoint_is_gone_when_a_controller_says_so(polder: Polder) -> None:
    releasing = Reply(202, {"id": "web-1", "state": "releasing"})
    with serving(releasing, ELSEWHERE[4], problem(404, "None")) as canned:
        assert polder("endpoint", "delete", "web-1", "--server", canned.url).code == 0
    assert len(canned.asked) == 3


@pytest.mark.parametrize("words", ["pool show a", "pool plan a", "trace a b", "endpoint list --watch"])
def test_an_answer_that_lacks_what_it_should_have(polder: Polder, words: str) -> None:
    with serving(Reply(200, {"items": []})) as canned:
        ran = polder(*words.split(), "--server", canned.url)
    assert ran.code == 1
    assert "what answers there is not a Polder controller: an answer without '" in ran.err


def test_output_that_has_no_room() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([*POLDER, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        1,
        "polder: the output cannot be written: No space left on device\n",
    )


def test_output_that_was_closed_before() -> None:
    """What is printed goes nowhere, as with `> /dev/null`."""
    with serving(Reply(200, {"items": [], "revision": 1})) as canned:
        command = [*POLDER, "pool", "list", "--server", canned.url]
        ran = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_input_that_was_closed_before() -> None:
    """There is nothing to read, as with `< /dev/null`."""
    ran = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *POLDER, "apply", "-f", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "polder: the files hold no document\n")


def test_ctrl_c_does_not_undo_what_was_asked_for(polder: Polder, monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.endpoint.time.sleep", ctrl_c)
    releasing = {"id": "web-1", "state": "releasing"}
    with serving(Reply(202, releasing), Reply(200, releasing)) as canned:
        ran = polder("endpoint", "delete", "web-1", "--server", canned.url)
    told = "polder: interrupted; what a controller was asked for goes on without this command\n"
    assert (ran.code, ran.out, ran.err) == (1, "", told)


def test_a_server_of_tls_that_hangs_up_on_plain_http(polder: Polder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)

        threading.Thread(target=hang_up, daemon=True).start()
        ran = polder("pool", "list", "--server", f"http://127.0.0.1:{server.getsockname()[1]}")
    assert ran.code == 5
    assert "next: if it speaks TLS name it with https:// in --server or POLDER_SERVER" in ran.err


@pytest.mark.parametrize(
    ("san", "life_s", "authority", "says", "cure"),
    [
        ("127.0.0.1", -1, "ca.pem", "certificate has expired", "have it renewed: polder pki issue"),
        ("192.0.2.1", 60, "ca.pem", "not valid for '127.0.0.1'", "use a name that it has in --server"),
        ("127.0.0.1", 60, "own.pem", "", "name the file of the authority in --ca, POLDER_CA"),
    ],
)
def test_a_certificate_that_is_not_trusted(
    polder: Polder, tmp_path: Path, san: str, life_s: int, authority: str, says: str, cure: str
) -> None:
    """What is to be done depends on what is wrong with it."""
    ours, key = Authority.create(), new_key()
    own = ours.issue(key.public_key(), "controller", [san], lifetime=timedelta(seconds=life_s))
    for name, content in (
        ("ca.pem", cert_pem(ours.cert)),
        ("own.pem", cert_pem(Authority.create().cert)),
        ("server.pem", cert_pem(own) + key_pem(key)),
    ):
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shake_hands() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True)

        threading.Thread(target=shake_hands, daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        ran = polder("pool", "list", "--server", url, "--ca", str(tmp_path / authority))
    assert ran.code == 1
    first, last = ran.err.splitlines()
    assert first.startswith(f"polder: {url} shows a certificate that is not trusted: ")
    assert says in first
    assert "_ssl.c" not in first
    assert last.startswith(f"  next: {cure}")


def test_a_server_that_does_not_speak_tls(polder: Polder) -> None:
    with serving(Reply(200, {})) as canned:
        url = canned.url.replace("http:", "https:")
        ran = polder("pool", "list", "--server", url)
        either = polder("pool", "list", "--server", f"https://127.0.0.1:1,{url}")
    assert ran.code == 1
    assert "does not speak TLS" in ran.err
    assert "next: name it with http:// in --server or POLDER_SERVER" in ran.err
    assert either.code == 5, "the other one may answer later"
