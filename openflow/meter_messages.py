"""Meters as OpenFlow 1.4 messages and back (OpenFlow 1.4.1 §7.3.4.4, §7.3.5.12, §7.3.5.13). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum

from openflow.errors import SwitchError
from openflow.meter import TO_CONTROLLERS, Meter, MeterCount, Unit

VERSION = 5
_METER_MOD, _MULTIPART_REQUEST, _BARRIER_REQUEST = 29, 18, 20
_METER_STATS, _METER_CONFIG = 9, 10
_DROP = 1
_ALL = 0xFFFFFFFF
_LAST = 0xFFFF0000
"""OFPM_MAX: of what has a higher number, one is of use: that of all packets to controllers."""

# ofp_meter_flags: kilobits or packets in a second, with a burst, counted
_FLAGS = {Unit.KBPS: 1, Unit.PACKETS: 2}
_BURST, _STATS = 4, 8

_HEADER = struct.Struct("!BBHI")
_MOD = struct.Struct("!BBHIHHI")
_BAND = struct.Struct("!HHII4x")
_REQUEST = struct.Struct("!BBHIHH4xI4x")
_BODY_AT = 16
_CONFIG = struct.Struct("!HHI")
_COUNT = struct.Struct("!IH6xIQQII")
_BAND_COUNT = struct.Struct("!QQ")


class Command(IntEnum):
    """What is done to a meter (ofp_meter_mod_command)."""

    ADD = 0
    MODIFY = 1
    DELETE = 2


def change(command: Command, meter: Meter, xid: int) -> bytes:
    """Add, change or delete a meter. To delete one that is not there is no error."""
    band = b"" if command is Command.DELETE else _BAND.pack(_DROP, _BAND.size, meter.rate, meter.burst)
    flags = _FLAGS[meter.unit] | _BURST | _STATS
    length = _MOD.size + len(band)
    return _MOD.pack(VERSION, _METER_MOD, length, xid, command, flags, meter.meter_id) + band


def barrier(xid: int) -> bytes:
    """Answered when all that came before is done (OpenFlow 1.4.1 §7.3.8)."""
    return _HEADER.pack(VERSION, _BARRIER_REQUEST, _HEADER.size, xid)


def ask_meters(xid: int) -> bytes:
    """Which meters are there?"""
    return _request(_METER_CONFIG, xid)


def ask_counts(xid: int) -> bytes:
    """What has each meter counted?"""
    return _request(_METER_STATS, xid)


def _request(kind: int, xid: int) -> bytes:
    return _REQUEST.pack(VERSION, _MULTIPART_REQUEST, _REQUEST.size, xid, kind, 0, _ALL)


def read_meters(replies: Iterable[bytes]) -> dict[int, Meter]:
    """The answer to `ask_meters`. A meter of another shape than ours reads as one that nobody wants."""
    found = (_meter(body) for reply in replies for body in _parts(reply, length_at=0))
    return {
        meter.meter_id: meter
        for meter in found
        if meter.meter_id <= _LAST or meter.meter_id == TO_CONTROLLERS
    }


def read_counts(replies: Iterable[bytes]) -> dict[int, MeterCount]:
    """The answer to `ask_counts`, by meter id."""
    return dict(_counted(body) for reply in replies for body in _parts(reply, length_at=4))


def _parts(reply: bytes, *, length_at: int) -> Iterator[bytes]:
    start = _BODY_AT
    while start < len(reply):
        length = int.from_bytes(reply[start + length_at : start + length_at + 2], "big")
        if length < _CONFIG.size or start + length > len(reply):
            raise SwitchError(f"the switch's answer does not decode: a meter of {length} bytes is none")
        yield reply[start : start + length]
        start += length


def _meter(body: bytes) -> Meter:
    _, flags, meter_id = _CONFIG.unpack_from(body)
    unit = next((unit for unit, flag in _FLAGS.items() if flags == flag | _BURST | _STATS), None)
    if unit is None or len(body) != _CONFIG.size + _BAND.size:
        return Meter(meter_id, Unit.KBPS, 0, 0)
    kind, _, rate, burst = _BAND.unpack_from(body, _CONFIG.size)
    return Meter(meter_id, unit, rate, burst) if kind == _DROP else Meter(meter_id, Unit.KBPS, 0, 0)


def _counted(body: bytes) -> tuple[int, MeterCount]:
    if len(body) < _COUNT.size:
        raise SwitchError("the switch's answer does not decode: a meter without counters")
    meter_id, _, _, packets, octets, _, _ = _COUNT.unpack_from(body)
    dropped = [_BAND_COUNT.unpack_from(body, at) for at in range(_COUNT.size, len(body), _BAND_COUNT.size)]
    return meter_id, MeterCount(
        packets, octets, sum(one[0] for one in dropped), sum(one[1] for one in dropped)
    )
