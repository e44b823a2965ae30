"""`polder policy`: what selected endpoints may receive and send, and from and to whom."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from cli.change import add_create, add_set
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list
from cli.output import Column, field
from cli.policy_import import add_import
from cli.policy_rule import rule_text, typed_rule
from cli.policy_stats import add_stats
from cli.selection import OF_TENANT
from cli.setting import Labelling, Setting, Several

INGRESS_RULE = partial(typed_rule, direction="ingress")
EGRESS_RULE = partial(typed_rule, direction="egress")

SETTINGS = (
    Setting(
        "tenant",
        "NAME",
        "Only this tenant's endpoints are selected.",
        default="those of all tenants and of none",
        fixed=True,
        of="tenants",
    ),
    Labelling("selector", "selector", "Only endpoints with this label are selected"),
    Setting(
        "order",
        "NUMBER",
        "Policies are asked from the lowest order on; those of a tenant have 100 to 900.",
        click.INT,
        default="500",
    ),
    Setting(
        "mode",
        "",
        "staged counts what it would decide, and decides nothing.",
        click.Choice(["enforced", "staged"]),
        default="enforced",
    ),
    Several("ingress", "--ingress", "RULE", "A rule for connections to the endpoints", INGRESS_RULE),
    Several("egress", "--egress", "RULE", "A rule for connections that they open", EGRESS_RULE),
)


def _ingress(item: dict[str, Any]) -> str:
    return "; ".join(rule_text(rule, "from") for rule in item.get("ingress") or ())


def _egress(item: dict[str, Any]) -> str:
    return "; ".join(rule_text(rule, "to") for rule in item.get("egress") or ())


POLICY = Noun(
    "policy",
    "policies",
    "name",
    (
        field("name"),
        field("tenant"),
        field("order"),
        field("mode"),
        field("selector"),
        Column("INGRESS", _ingress),
        Column("EGRESS", _egress),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    used_by="polder policy get",
    example="web-in",
    foreseen=True,
    bounded=False,
    ordered=("ingress", "egress"),
    words={"ingress": _ingress, "egress": _egress},
)


@click.group(cls=Group)
def command() -> None:
    """What endpoints may receive and send, and from and to whom."""


add_create(
    command,
    POLICY,
    SETTINGS,
    """Create a policy.

    A RULE is allow or deny, then log, then traffic (tcp/443, udp/5000-5010, icmp/8, 47), then from or to and
    peers: a CIDR, labels of endpoints (app=web,tier=front), of those of another tenant (app=web@shop), a
    whole tenant (@shop), or endpoints, all of the policy's own tenant. What is left out is any. The first
    rule that matches decides.""",
    'polder policy create no-telnet --order 50 --egress "deny log tcp/23"',
    'polder policy create shop-web --tenant shop --selector app=web --ingress "allow tcp/443" '
    '--ingress "allow from app=probe 192.0.2.0/24" --ingress deny',
    'polder policy create db --tenant shop --mode staged --selector app=db --ingress "deny from endpoints"',
)
add_set(
    command,
    POLICY,
    SETTINGS,
    """Change a policy.

    What is not given stays; an empty value ("") goes back to the default.""",
    "polder policy set web-in --mode staged",
    'polder policy set web-in --ingress "allow tcp/443 from 10.0.0.0/8" --ingress deny --dry-run',
)
add_get(command, POLICY)
add_list(command, POLICY, OF_TENANT)
add_delete(command, POLICY, "Delete a policy: others decide then, or the tenant's default.")
add_stats(command, POLICY)
add_import(command)
