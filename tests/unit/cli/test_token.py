"""`polder token`: the secret is alone on standard output, once."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

TOKEN = {"name": "ci", "role": "tenant", "tenant": "shop", "node": None, "expires": None, "ttl_s": 60}
GIVEN = TOKEN | {"token": "polder_ci_0123"}


def test_create_prints_the_secret_and_nothing_else(polder: Polder) -> None:
    with serving(Reply(201, GIVEN)) as canned:
        ran = polder(
            *("token", "create", "ci", "--role", "tenant", "--tenant", "shop", "--ttl-s", "60"),
            *("--server", canned.url),
        )
    assert (ran.code, ran.out, ran.err) == (0, "polder_ci_0123\n", "")
    asked = canned.asked[0]
    assert (asked.method, asked.target) == ("POST", "/v1/tokens")
    assert asked.body == {"name": "ci", "role": "tenant", "tenant": "shop", "ttl_s": 60}


def test_create_as_json_has_all_of_it(polder: Polder) -> None:
    with serving(Reply(201, GIVEN)) as canned:
        ran = polder("token", "create", "ci", "--role", "admin", "-o", "json", "--server", canned.url)
    assert json.loads(ran.out) == GIVEN


def test_a_name_that_is_taken_prints_nothing_and_says_what_to_do(polder: Polder) -> None:
    with serving(problem(409, "The name is taken", "token ci exists")) as canned:
        ran = polder("token", "create", "ci", "--role", "admin", "--server", canned.url)
    assert (ran.code, ran.out) == (4, "")
    assert "polder token rotate ci" in ran.err


def test_a_lost_answer_is_not_asked_for_again(polder: Polder) -> None:
    with serving(Reply(503)) as canned:
        assert polder("token", "create", "ci", "--role", "admin", "--server", canned.url).code == 5
    assert len(canned.asked) == 1


@pytest.mark.parametrize(
    ("options", "body"), [((), {}), (("--overlap-s", "0", "--ttl-s", "9"), {"overlap_s": 0, "ttl_s": 9})]
)
def test_rotate_prints_the_new_secret(polder: Polder, options: tuple[str, ...], body: object) -> None:
    with serving(Reply(200, GIVEN)) as canned:
        ran = polder("token", "rotate", "ci", *options, "--server", canned.url)
    assert (ran.code, ran.out) == (0, "polder_ci_0123\n")
    assert (canned.asked[0].target, canned.asked[0].body) == ("/v1/tokens/ci:rotate", body)


@pytest.mark.parametrize(
    "words",
    [("token", "create", "ci", "--role", "admin"), ("token", "rotate", "ci"), ("node", "join-token", "ci")],
)
def test_a_name_is_no_secret(polder: Polder, words: tuple[str, ...]) -> None:
    with serving(Reply(200, GIVEN)) as canned:
        ran = polder(*words, "-o", "name", "--server", canned.url)
    assert (ran.code, ran.out) == (0, f"{words[0]}/ci\n")


def test_list_shows_what_each_may(polder: Polder) -> None:
    with serving(Reply(200, {"items": [TOKEN], "revision": 1})) as canned:
        ran = polder("token", "list", "--server", canned.url)
    assert ran.out.splitlines()[1].split()[:3] == ["ci", "tenant", "shop"]
    assert "polder_ci" not in ran.out


def test_a_role_that_is_none_is_refused_here(polder: Polder) -> None:
    ran = polder("token", "create", "ci", "--role", "root")
    assert ran.code == 2
    assert "read-only" in ran.err
