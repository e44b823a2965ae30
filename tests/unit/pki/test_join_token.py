"""The text of a join token."""

from __future__ import annotations

import pytest

from pki.certificate import PkiError
from pki.join_token import JoinToken

FINGERPRINT = "A" * 43


def test_what_is_made_is_read_back() -> None:
    token = JoinToken.make("rack-7.node-1", FINGERPRINT)
    assert JoinToken.parse(f" {token.text}\n") == token
    assert token.text.startswith("pj1:rack-7.node-1:")
    assert JoinToken.make("rack-7.node-1", FINGERPRINT).secret != token.secret


@pytest.mark.parametrize(
    "text", ["", "pj0", "pj1:a:b:c", f"pj2:a:{'s' * 43}:{FINGERPRINT}", f"pj1:A:{'s' * 43}:{FINGERPRINT}"]
)
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(PkiError, match="no join token") as caught:
        JoinToken.parse(text)
    assert not text or text not in str(caught.value)


def test_its_secret_is_not_shown_by_accident() -> None:
    token = JoinToken.make("node-1", FINGERPRINT)
    assert token.secret not in repr(token)
