"""Which server a command speaks to, and who gets which token."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.config import Config, Context, load, save
from cli.failure import Exit, Failure
from cli.target import Given, Target, target

SITE = Context(("https://c1.example.net", "https://c2.example.net"), "/ca.pem", "of-site")
LAB = Context(("http://127.0.0.1:9",), token="of-lab")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A config file with the contexts `site`, which is the current one, and `lab`."""
    path = tmp_path / "polder" / "config.yaml"
    save(path, Config("site", {"site": SITE, "lab": LAB}))
    return path


def found(path: Path, given: Given = Given(), **environ: str) -> Target:  # noqa: B008 - frozen
    return target(given, {"POLDER_CONFIG": str(path), **environ})


def urls(of: Target) -> list[str]:
    return [server.url for server in of.servers]


def test_the_current_context(path: Path) -> None:
    of = found(path)
    assert urls(of) == ["https://c1.example.net:443", "https://c2.example.net:443"]
    assert (of.token, of.ca) == ("of-site", "/ca.pem")


def test_without_anything_it_is_this_host(tmp_path: Path) -> None:
    of = found(tmp_path / "absent")
    assert (urls(of), of.token) == (["http://127.0.0.1:8080"], "")


@pytest.mark.parametrize(
    ("given", "environ", "server", "token"),
    [
        (Given(), {"POLDER_CONTEXT": "lab"}, "http://127.0.0.1:9", "of-lab"),
        (Given(context="lab"), {"POLDER_CONTEXT": "site"}, "http://127.0.0.1:9", "of-lab"),
        (Given(context="lab"), {"POLDER_SERVER": "http://h:1"}, "http://127.0.0.1:9", "of-lab"),
        (Given(context="lab"), {"POLDER_TOKEN": "env"}, "http://127.0.0.1:9", "of-lab"),
        (Given(), {"POLDER_TOKEN": "env"}, "https://c1.example.net:443", "env"),
        (Given(), {"POLDER_SERVER": "http://h:1"}, "http://h:1", ""),
        (Given(server="http://h:1"), {"POLDER_SERVER": "http://h:2"}, "http://h:1", ""),
        (Given(server="http://h:1"), {"POLDER_TOKEN": "env"}, "http://h:1", "env"),
    ],
)
def test_who_goes_before_whom(
    path: Path, given: Given, environ: dict[str, str], server: str, token: str
) -> None:
    of = found(path, given, **environ)
    assert (urls(of)[0], of.token) == (server, token)


def test_a_contexts_token_goes_to_its_own_servers_alone(path: Path) -> None:
    own = found(path, Given(server="https://c2.example.net", context="site"))
    other = found(path, Given(server="https://elsewhere.example", context="site"))
    assert (own.token, own.ca) == ("of-site", "/ca.pem")
    assert (other.token, other.ca) == ("", "")


def test_an_unknown_context_names_those_there_are(path: Path) -> None:
    with pytest.raises(Failure, match="no context 'sit'; there are site, lab") as caught:
        found(path, Given(context="sit"))
    assert caught.value.code == Exit.NOT_FOUND


def test_the_file_is_its_owners_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert load(path) == Config("site", {"site": SITE, "lab": LAB})
    path.chmod(0o640)
    with pytest.raises(Failure, match="holds a token") as caught:
        load(path)
    assert caught.value.advice == f"chmod 600 {path}"
    assert "of-site" not in str(caught.value)


def test_without_a_token_others_may_read_it(path: Path) -> None:
    save(path, Config("", {"a": Context(("http://h",))}))
    path.chmod(0o644)
    assert load(path).contexts["a"].servers == ("http://h",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("curent: a", "line 1, curent: is not one of current, contexts"),
        ("contexts: []", "expected the contexts by name"),
        ("contexts:\n  a: x", "contexts.a: expected `servers`"),
        ("contexts:\n  a:\n    servers: http://h", "expected a list of URLs"),
        ("contexts:\n  a:\n    servers: [ftp://h]", "line 3 ftp://h is not an http or https URL"),
        ("contexts:\n  a:\n    servers: [http://h]\n    token: 7", "contexts.a.token: is no text"),
        ("current: [a]", "current: is no text"),
        ("current: a\ncurrent: b", "stands twice"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Failure) as caught:
        load(path)
    assert words in caught.value.message
