"""`polder service`: addresses that several endpoints hold, each announced where one of them is healthy."""

from __future__ import annotations

import re
from typing import Any

import click

from cli.change import add_create, add_set
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list
from cli.output import Column, field
from cli.selection import OF_POOL, OF_TENANT
from cli.setting import Labelling, Setting, Several

NUMBERS = ("interval_s", "timeout_s", "healthy_after", "unhealthy_after")

_CHECK = re.compile(r"(?P<kind>tcp|http):(?P<port>\d+)(?P<path>/[^,]*)?(?P<more>(,[a-z_]+=\d+)*)")


class CheckType(click.ParamType[dict[str, Any]]):
    """A health check in one word: `tcp:80`, `http:8080/healthz,interval_s=5`."""

    name = "check"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The fields of the API. Ends the command with a usage error when it is none."""
        found = _CHECK.fullmatch(str(value))
        pairs = [each.split("=") for each in found["more"].split(",")[1:]] if found else []
        if found is None or any(name not in NUMBERS for name, _ in pairs):
            self.fail(
                f"{value!r} is no check; expected tcp:PORT or http:PORT/PATH, and after commas "
                f"{', '.join(f'{each}=N' for each in NUMBERS)}",
                param,
                ctx,
            )
        if found["path"] and found["kind"] == "tcp":
            self.fail(f"{value!r}: only http has a path", param, ctx)
        numbers = {name: int(number) for name, number in pairs}
        return {"kind": found["kind"], "port": int(found["port"]), "path": found["path"], **numbers}


def check_text(item: dict[str, Any]) -> str:
    """A check as it is typed, without its numbers."""
    check = item.get("check")
    return f"{check['kind']}:{check['port']}{check.get('path') or ''}" if check else ""


SETTINGS = (
    Setting("pool", "NAME", "The pool of its address.", required=True, fixed=True, of="pools"),
    Setting(
        "address", "ADDRESS", "The very address it is to have.", default="a free one of the pool", fixed=True
    ),
    Setting(
        "tenant",
        "NAME",
        "Only this tenant's endpoints are selected.",
        default="none",
        fixed=True,
        of="tenants",
    ),
    Labelling("selector", "selector", "Only endpoints with this label hold the address"),
    Setting(
        "check",
        "CHECK",
        "How endpoints are asked: tcp:PORT or http:PORT/PATH, and after commas interval_s=N, timeout_s=N, "
        "healthy_after=N, unhealthy_after=N.",
        CheckType(),
        default="an endpoint that is attached is healthy",
    ),
    Several("communities", "--community", "COMMUNITY", "A BGP community, sent with the address"),
)

SERVICE = Noun(
    "service",
    "services",
    "name",
    (
        field("name"),
        field("address"),
        field("pool"),
        field("tenant"),
        field("selector"),
        Column("CHECK", check_text),
        field("communities", wide=True),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    used_by="polder service get",
    example="web",
    foreseen=True,
)


@click.group(cls=Group)
def command() -> None:
    """Addresses that several endpoints hold."""


add_create(
    command,
    SERVICE,
    SETTINGS,
    """Create a service and give it an address.

    Each endpoint with all the labels holds the address beside its own. Nodes where one of them is healthy
    announce it.""",
    "polder service create www --pool default --selector app=web --check http:8080/healthz",
    "polder service create dns --pool default --address 10.64.255.53 --selector app=dns --check tcp:53",
)
add_set(
    command,
    SERVICE,
    SETTINGS,
    """Change a service.

    What is not given stays; an empty value ("") goes back to the default.""",
    "polder service set web --check http:8080/ready,interval_s=5,unhealthy_after=2",
    "polder service set web --selector tier=front --no-selector old",
    'polder service set web --check "" --community 64500:100',
    "polder service set web --selector app=shop --dry-run",
)
add_get(command, SERVICE)
add_list(command, SERVICE, OF_POOL, OF_TENANT)
add_delete(command, SERVICE, "Delete a service: its address is withdrawn and cools down.")
