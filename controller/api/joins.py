"""/v1/join: how a host becomes a node. The routes of the host need no bearer token: it has none yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.exchange import current
from controller.parts import parts
from controller.principal import Principal
from store.model import Role
from store.model.value import Name

joins = Noun()

Pem = Annotated[str, StringConstraints(min_length=1, max_length=16384)]


class Invitation(BaseModel):
    """How long a join token is good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ttl_s: Annotated[int, Field(strict=True, ge=60, le=7 * 86400)] = 3600


class GivenJoin(BaseModel):
    """A join token. It is not shown again."""

    node: Name
    expires: AwareDatetime
    token: str
    """To be given to `polder agent join` on the host, once."""


class Authority(BaseModel):
    """What the certificates of the controllers are signed by. A join token has its fingerprint."""

    ca: Pem


class JoinRequest(BaseModel):
    """What a host shows to become a node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: Name
    secret: Annotated[str, StringConstraints(max_length=128)]
    """Of the join token."""
    request: Pem
    """A certificate signing request (PKCS #10, PEM) for a P-256 key; only its key counts."""


class JoinedNode(BaseModel):
    """What the programs of the node need."""

    node: Name
    etcd: tuple[str, ...]
    etcd_ca: Pem
    certificate: Pem
    """For the requested key: etcd knows the node by it."""


class RenewRequest(BaseModel):
    """What a node shows to get a new certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Pem
    request: Pem
    """A certificate signing request for the same key."""


class Renewed(BaseModel):
    """A certificate for the same key, good for longer."""

    certificate: Pem


@joins.operation(
    Operation(
        "POST",
        "/v1/nodes/{name}:join-token",
        "Let a host join as a node",
        {201: GivenJoin},
        body=Invitation,
        refuses=(404, 409),
    )
)
def invite(name: str, wanted: Invitation) -> Answer:
    """The answer holds the token, this once. One that the node had before is good no more."""
    token, join = parts().joining.invite(name, wanted.ttl_s)
    return Answer(GivenJoin(node=name, expires=join.expires, token=token.text), 201)


@joins.operation(
    Operation("GET", "/v1/join", "Read the authority of the controllers", {200: Authority}, refuses=(409,))
)
def authority() -> Answer:
    """Not to be trusted before its fingerprint was compared."""
    return Answer(Authority(ca=parts().joining.authority()))


@joins.operation(
    Operation("POST", "/v1/join", "Join as a node", {200: JoinedNode}, body=JoinRequest, refuses=(403, 409))
)
def join(wanted: JoinRequest) -> Answer:
    """May be repeated with the same key as long as the token lives."""
    joined = parts().joining.join(wanted.node, wanted.secret, wanted.request)
    current().principal = Principal(f"join:{joined.node}", Role.NODE, node=joined.node)
    return Answer(JoinedNode(**asdict(joined)))


@joins.operation(
    Operation(
        "POST",
        "/v1/join:renew",
        "Renew the certificate of a node",
        {200: Renewed},
        body=RenewRequest,
        refuses=(403, 409),
    )
)
def renew(wanted: RenewRequest) -> Answer:
    """Before it ends. The key stays."""
    user, certificate = parts().joining.renew(wanted.certificate, wanted.request)
    current().principal = Principal(f"renew:{user}", Role.NODE)
    return Answer(Renewed(certificate=certificate))
