"""/v1/tokens: who may use the API. The secret of a token is in one answer only, and never stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation
from controller.parts import parts
from controller.precondition import match
from controller.reading import find
from controller.validation import validate
from controller.watching.topic import Topic
from store import keys
from store.client import Store
from store.model import Role, Secret, Token
from store.model.access import LifeS
from store.model.value import Name

tokens = Noun()

MAX_OVERLAP_S = 30 * 86400
NOT_KEPT = {"Cache-Control": "no-store"}


class NewToken(BaseModel):
    """A token as it is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    role: Role
    tenant: Name | None = None
    """With role tenant: the only tenant whose things exist for it."""
    node: Name | None = None
    """With role node: the only node whose things exist for it."""
    ttl_s: LifeS | None = None
    """For how long each of its secrets is good; for ever when not given."""


class Rotation(BaseModel):
    """How the secrets that a token has end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=MAX_OVERLAP_S)] = 3600
    """For how long they stay good."""
    ttl_s: LifeS | None = None
    """For how long the new one is good, and those of later rotations; as before when not given."""


class TokenView(BaseModel):
    """A token as it is shown: everything but its secrets."""

    name: Name
    role: Role
    tenant: Name | None
    node: Name | None
    created: AwareDatetime
    ttl_s: LifeS | None
    expires: AwareDatetime | None
    """When the newest secret ends; null is never."""
    overlap_until: AwareDatetime | None
    """When the last of the secrets before it ends; null when it has only one."""


class GivenToken(TokenView):
    """A token with its new secret."""

    token: str
    """To be sent as `Authorization: Bearer TOKEN`. It is not shown again."""


@tokens.operation(
    Operation("POST", "/v1/tokens", "Create a token", {201: GivenToken}, body=NewToken, refuses=(409,))
)
def create_token(wanted: NewToken) -> Answer:
    """The answer holds the secret, this once."""
    token, text = parts().tokens.create(
        lambda secret, now: validate(Token, {**dict(wanted), "secrets": (secret,), "created": now}),
        wanted.name,
        wanted.ttl_s,
    )
    return Answer(_given(token, text), 201, f"/v1/tokens/{token.name}", headers=NOT_KEPT)


def _watched(store: Store, shown: Sequence[Token], settled: bool) -> list[str]:
    return [_view(token).model_dump_json() for token in shown]


@tokens.operation(
    Operation(
        "GET",
        "/v1/tokens",
        "List tokens",
        {200: TokenView},
        query=listing.PAGING,
        topic=Topic(keys.TOKENS, _watched),
    )
)
def list_tokens() -> Answer:
    """Every token, by name."""
    found = listing.paged(keys.TOKENS)
    shown = [_view(token) for token in found.values]
    return listing.render(shown, found)


@tokens.operation(
    Operation("GET", "/v1/tokens/{name}", "Read a token", {200: TokenView, 304: None}, refuses=(404,))
)
def get_token(name: str) -> Answer:
    """One token."""
    found = find(parts().store, keys.TOKENS, name)
    return Answer(_view(found.value), revision=found.mod_revision)


@tokens.operation(
    Operation(
        "POST",
        "/v1/tokens/{name}:rotate",
        "Give a token a new secret, and those it has an end",
        {200: GivenToken},
        body=Rotation,
        refuses=(404, 409),
        matches=True,
    )
)
def rotate_token(name: str, wanted: Rotation) -> Answer:
    """The answer holds the new secret, this once."""
    token, text = parts().tokens.rotate(name, wanted.overlap_s, wanted.ttl_s, match())
    return Answer(_given(token, text), headers=NOT_KEPT)


@tokens.operation(
    Operation("DELETE", "/v1/tokens/{name}", "Revoke a token", {204: None}, refuses=(404,), matches=True)
)
def revoke_token(name: str) -> Answer:
    """All of its secrets end now."""
    parts().tokens.revoke(name, match())
    return Answer(status=204)


def _view(token: Token) -> TokenView:
    before: list[Secret] = list(token.secrets[:-1])
    return TokenView(
        **token.model_dump(exclude={"secrets"}),
        expires=token.secrets[-1].expires,
        overlap_until=max((each.expires for each in before if each.expires is not None), default=None),
    )


def _given(token: Token, text: str) -> GivenToken:
    return GivenToken(**_view(token).model_dump(), token=text)
