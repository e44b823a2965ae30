"""`polder node join-token`, `polder agent join` and `renew`: what is asked, and what is refused before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.join import AGAIN
from pki import files
from pki.certificate import Authority, cert_pem, fingerprint, key_pem, new_key
from pki.join_token import JoinToken
from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

PAGE = Path(__file__).parents[3] / "deploy" / "README.md"
TOKEN = JoinToken.make("node-1", "A" * 43)
MADE = {"node": "node-1", "expires": "2026-01-01T00:00:00Z", "token": TOKEN.text}


def test_join_token_prints_the_token_alone(polder: Polder) -> None:
    with serving(Reply(201, MADE)) as canned:
        ran = polder("node", "join-token", "node-1", "--ttl-s", "86400", "--server", canned.url)
    assert (ran.code, ran.out) == (0, f"{TOKEN.text}\n")
    (asked,) = canned.asked
    assert (asked.method, asked.target, asked.body) == (
        "POST",
        "/v1/nodes/node-1:join-token",
        {"ttl_s": 86400},
    )


def test_join_token_of_no_node_says_where_to_look(polder: Polder) -> None:
    with serving(problem(404, "There is no such thing", "there is no node 'x'")) as canned:
        ran = polder("node", "join-token", "x", "--server", canned.url)
    assert (ran.code, "polder node list" in ran.err) == (3, True)


def test_what_is_no_token_is_not_sent(polder: Polder, tmp_path: Path) -> None:
    ran = polder("agent", "join", "secret", "--controller=http://127.0.0.1:1", f"--dir={tmp_path}")
    assert (ran.code, "no join token" in ran.err, "secret" in ran.err) == (2, True, False)
    assert not list(tmp_path.iterdir())


def test_a_secret_goes_to_no_other_host_in_the_clear(polder: Polder, tmp_path: Path) -> None:
    ran = polder("agent", "join", TOKEN.text, "--controller=http://192.0.2.1:8080", f"--dir={tmp_path}")
    assert (ran.code, "unencrypted" in ran.err, TOKEN.secret in ran.err) == (2, True, False)


def test_it_speaks_of_the_options_that_it_has(polder: Polder, tmp_path: Path) -> None:
    ran = polder("agent", "join", TOKEN.text, "--controller=http://127.0.0.1:1", f"--dir={tmp_path}")
    assert (ran.code, "name another with --controller" in ran.err) == (5, True)
    usage = polder("agent", "join", TOKEN.text)
    assert (usage.code, "Usage: polder agent join [OPTIONS] TOKEN" in usage.err) == (2, True)


def test_an_authority_that_the_token_does_not_name_gets_no_secret(polder: Polder, tmp_path: Path) -> None:
    ca = cert_pem(Authority.create().cert).decode()
    with serving(Reply(200, {"ca": ca})) as canned:
        ran = polder("agent", "join", TOKEN.text, f"--controller={canned.url}", f"--dir={tmp_path}")
    assert (ran.code, "its authority is another" in ran.err) == (1, True)
    assert [(asked.method, asked.target, asked.body) for asked in canned.asked] == [("GET", "/v1/join", None)]
    assert [each.name for each in tmp_path.iterdir()] == ["node.key"]


def test_nothing_is_trusted_but_the_authority_that_the_token_names(polder: Polder, tmp_path: Path) -> None:
    ours, theirs = (Authority.create().cert for _ in range(2))
    token = JoinToken.make("node-1", fingerprint(ours)).text
    both = (cert_pem(ours) + cert_pem(theirs)).decode()
    with serving(Reply(200, {"ca": both}), problem(403, "No", "enough for this test")) as canned:
        polder("agent", "join", token, f"--controller={canned.url}", f"--dir={tmp_path}")
    assert [asked.method for asked in canned.asked] == ["GET", "POST"]
    assert (tmp_path / "controller-ca.pem").read_bytes() == cert_pem(ours)


def test_a_key_that_somebody_has_put_there_is_not_taken(polder: Polder, tmp_path: Path) -> None:
    planted = tmp_path / "node.key"
    planted.write_bytes(key_pem(new_key()))
    planted.chmod(0o666)
    with serving() as canned:
        ran = polder("agent", "join", TOKEN.text, f"--controller={canned.url}", f"--dir={tmp_path}")
    assert (ran.code, f"others may read or write {planted}: remove it" in ran.err) == (1, True)
    assert canned.asked == [], "the token is not used"
    assert [each.name for each in tmp_path.iterdir()] == ["node.key"]


@pytest.mark.parametrize("answer", [{}, {"ca": 7}, {"ca": "no certificate"}])
def test_an_answer_that_is_not_ours_is_a_clear_failure(
    polder: Polder, tmp_path: Path, answer: object
) -> None:
    with serving(Reply(200, answer)) as canned:
        ran = polder("agent", "join", TOKEN.text, f"--controller={canned.url}", f"--dir={tmp_path}")
    assert ran.code == 1
    assert ran.err.startswith("polder: ")


def test_there_is_nothing_to_renew_before_a_join(polder: Polder, tmp_path: Path) -> None:
    ran = polder("agent", "renew", f"--dir={tmp_path}")
    assert (ran.code, "polder agent join" in ran.err) == (1, True)


def test_the_tools_of_the_agent_have_their_help(polder: Polder) -> None:
    assert "TOKEN is what" in polder("agent", "join", "--help").out
    assert "--within-days" in polder("agent", "renew", "--help").out


def test_joining_again_keeps_the_options_that_somebody_has_added(polder: Polder, tmp_path: Path) -> None:
    authority = Authority.create()
    token = JoinToken.make("node-1", fingerprint(authority.cert)).text
    ca = cert_pem(authority.cert).decode()
    own = new_key()
    files.write(tmp_path / "node.key", key_pem(own))
    cert = cert_pem(authority.issue(own.public_key(), "node-node-1")).decode()
    joined = {"node": "node-1", "etcd": ["https://192.0.2.1:2379"], "etcd_ca": ca, "certificate": cert}
    config = tmp_path / "node.conf"
    config.write_text("node=node-1\netcd = https://192.0.2.9:2379\n# of the rack\nrun-dir = /run/mine\n")
    said = []
    for _ in range(2):
        with serving(Reply(200, {"ca": ca}), Reply(200, joined)) as canned:
            ran = polder("agent", "join", token, f"--controller={canned.url}", f"--dir={tmp_path}")
        assert ran.code == 0, ran.err
        said.append(config.read_text())
    assert said[0] == said[1], "twice is once"
    (start,) = re.findall(r"^systemctl enable --now polder-agent .*$", PAGE.read_text(), re.MULTILINE)
    assert f"  {start}\n" in ran.out, "as the page has it"
    assert said[0].endswith("# of the rack\nrun-dir = /run/mine\n")
    assert "etcd = https://192.0.2.1:2379\n" in said[0]
    assert "192.0.2.9" not in said[0]


@pytest.mark.parametrize("found", ["node = node-2\n", "\xff"])
def test_an_options_file_that_is_not_the_nodes_is_left_alone(
    polder: Polder, tmp_path: Path, found: str
) -> None:
    config = tmp_path / "node.conf"
    config.write_bytes(found.encode("latin-1"))
    ran = polder("agent", "join", TOKEN.text, "--controller=http://127.0.0.1:1", f"--dir={tmp_path}")
    assert (ran.code != 0, str(config) in ran.err, "remove" in ran.err) == (True, True, True)
    assert config.read_bytes() == found.encode("latin-1")


def test_what_to_do_about_an_authority_is_what_the_command_can_do(polder: Polder, tmp_path: Path) -> None:
    own = new_key()
    files.write(tmp_path / "node.key", key_pem(own))
    files.write(tmp_path / "node.pem", cert_pem(Authority.create().issue(own.public_key(), "node-node-1")))
    no_ca = tmp_path / "no.pem"
    no_ca.write_text("nothing\n")
    at = ("--controller=https://127.0.0.1:1", f"--dir={tmp_path}")
    for ran, cure in (
        (polder("agent", "join", TOKEN.text, *at, f"--ca={no_ca}"), "name the file of the authority in --ca"),
        (polder("agent", "renew", *at), AGAIN),
    ):
        kept = tmp_path / "controller-ca.pem"
        assert (ran.code, ran.err.splitlines()) == (
            2,
            [f"polder: {kept}: not a file of certificates in PEM", f"  next: {cure}"],
        )
