"""Flows as os-ken itself writes and reads them: what the bytes written by hand are held against."""

from __future__ import annotations

from typing import Any

from os_ken.ofproto import ofproto_v1_4 as ofp
from os_ken.ofproto import ofproto_v1_4_parser as parser

from openflow import render
from openflow.cookie import OWNER, OWNER_MASK
from openflow.flow import Flow
from openflow.ordering import Change, Put


def flow_mod(change: Change) -> Any:
    """The OFPFlowMod of a change. A deletion takes a flow of this key only if its cookie is ours."""
    flow = change.flow
    where = {
        "table_id": flow.table_id,
        "priority": flow.priority,
        "match": render.wire_match(flow.match),
    }
    if isinstance(change, Put):
        what = {"cookie": flow.cookie, "instructions": render._instructions(flow.actions)}
        return parser.OFPFlowMod(render.PROTOCOL, command=ofp.OFPFC_ADD, **what, **where)
    return parser.OFPFlowMod(
        render.PROTOCOL,
        cookie=OWNER,
        cookie_mask=OWNER_MASK,
        command=ofp.OFPFC_DELETE_STRICT,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
        **where,
    )


def flow_of(told: Any) -> Flow:
    """The flow that an OFPFlowStats, or an OFPFlowMod, describes."""
    match, actions = render._match(told.match), tuple(render._actions(told.instructions))
    return Flow(told.table_id, told.priority, match, actions, told.cookie)
