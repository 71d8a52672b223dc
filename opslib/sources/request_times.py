"""The time that some ids carry: X-Ray and W3C trace ids of AWS, UUIDv7, ULID. Searching around it is nearly free."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

BEFORE, AFTER = timedelta(seconds=60), timedelta(minutes=15)
_XRAY = re.compile(r"(?:Root=)?1-([0-9a-f]{8})-([0-9a-f]{24})", re.I)
_W3C = re.compile(r"[0-9a-f]{32}", re.I)
_UUID7 = re.compile(r"(?:.*[-_:])?([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.I)
_ULID = re.compile(r"(?:.*[-_:])?([0-7][0-9A-HJKMNP-TV-Z]{9})[0-9A-HJKMNP-TV-Z]{16}", re.I)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def moment_in(request_id: str, *, now: datetime, reach: timedelta) -> datetime | None:
    """Return the time inside an id, or None when it has none within `reach` before now."""
    moment = None
    if found := _XRAY.fullmatch(request_id):
        moment = int(found[1], 16) * 1000
    elif _W3C.fullmatch(request_id):  # the root of an X-Ray id without its dashes; any other is years away
        moment = int(request_id[:8], 16) * 1000
    elif found := _UUID7.fullmatch(request_id):
        moment = int(found[1] + found[2], 16)
    elif found := _ULID.fullmatch(request_id):
        moment = 0
        for sign in found[1].upper():
            moment = moment * 32 + _CROCKFORD.index(sign)
    if moment is None:
        return None
    first = (now - reach).timestamp() * 1000
    inside = first <= moment <= (now + BEFORE).timestamp() * 1000
    return datetime.fromtimestamp(moment / 1000, UTC) if inside else None


def forms(request_id: str) -> list[str]:
    """Return how an id is written: an X-Ray trace id also as W3C does, and the other way round."""
    if found := _XRAY.fullmatch(request_id):
        bare = request_id.removeprefix("Root=")
        return [bare, (found[1] + found[2]).lower()]
    if _W3C.fullmatch(request_id):
        return [request_id, f"1-{request_id[:8]}-{request_id[8:]}"]
    return [request_id]
