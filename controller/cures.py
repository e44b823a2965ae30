"""What each type of problem means and what to do about it, for the page at /docs."""

from __future__ import annotations

from collections.abc import Mapping

CURES: Mapping[str, str] = {
    "malformed": "The body is not JSON in UTF-8, or a header cannot be read. Send what the example shows.",
    "too-deep": "The body is nested deeper than any value here is. Send what the example shows.",
    "duplicate-key": "Two fields of one object in the body have the same name. Give it once.",
    "cursor": "The cursor was given by another list, or with other filters. Begin again without it.",
    "unauthorized": "Send Authorization: Bearer with a token that lives. An administrator makes one.",
    "forbidden": "The role of the token may not use this route. Ask for a token with another role.",
    "join-refused": "The join token or certificate is not good any more. Make a new join token.",
    "not-found": "Nothing has this name, or it is not for this token. A list says what there is.",
    "no-such-path": "The API has no such path; /v1/openapi.json has those that there are.",
    "method-not-allowed": "Use one of the methods in the header Allow.",
    "timeout": "The body was begun and did not come whole in time. Send it again, all at once.",
    "conflict": "What is there under this name differs. Change it with PATCH, or use another name.",
    "overlap": "Pools do not overlap. Use a range outside the pools that there are.",
    "not-begun": "What it would end has not begun. Repeat it after Retry-After.",
    "not-set-up": "The controllers were not started for this; the detail names what is missing.",
    "in-use": "Delete or move first what uses it; the detail names it.",
    "address-in-use": "Ask for another address, or leave address out.",
    "pool-full": "Add or grow a pool, delete endpoints, or wait for addresses that cool down.",
    "over-quota": "Delete endpoints of the tenant, or ask for a higher quota.",
    "undone": "Another request of the batch was refused. Mend that one and send the batch again.",
    "too-much-withdrawn": "See with dry_run=true what would go; a request without max_withdraw does it.",
    "releasing": "The endpoint goes as soon as its node has taken it down. Repeat then, or use another id.",
    "expired": "The store has forgotten the revision of the list. Begin again without the cursor.",
    "stale": "It was changed, made or deleted since you read it. Read it again and decide anew.",
    "too-large": "Send less at a time.",
    "media-type": "Send Content-Type: application/json; for PATCH also application/merge-patch+json.",
    "invalid": "Each of errors names a place, a JSON pointer or a parameter, and what would be right.",
    "key-reused": "An earlier request with this Idempotency-Key asked for something else. Use a new one.",
    "precondition-required": "Say what you replace: If-Match with an ETag, or If-None-Match: * to create.",
    "rate-limited": "Come back after the seconds of Retry-After; many endpoints fit into one batch.",
    "corrupt": "A value in the store cannot be read and was left alone. The log of the controller names it.",
    "internal": "A fault of the controller. Its log says where; please report it.",
    "no-answer": "Nobody looks there now. See that the node has its agent (`polder node get`), then repeat.",
    "unavailable": "etcd does not answer. What was asked may be repeated after Retry-After.",
    "restoring": "A backup was restored: wait until it is completed, or finish it with /v1/restore:finish.",
    "busy": "Too many want the same at once. Repeat after Retry-After.",
}
