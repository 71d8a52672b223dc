"""The times that log lines carry, as milliseconds."""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from opslib.sandbox.errors import SandboxError

TIME_KEYS = ("time", "timestamp", "@timestamp")
# 2026-11-02T10:00:00.123456789+0900, with a space, a comma or slashes instead
_ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?"
)
_APACHE = re.compile(r"\[?(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]?")  # 02/Nov/2026:10:00:00 +0900
_EPOCH = re.compile(r"\d{9,19}(\.\d+)?")
_EPOCH_UNITS = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6))  # seconds, milli, micro, nano


def milliseconds(written: Any, zone: str, where: str) -> int:
    """Return the instant; `zone` counts for times that name none."""
    text = str(written).strip()
    if isinstance(written, bool):
        raise _unreadable(text, where)
    if _EPOCH.fullmatch(text):
        return _from_epoch(text)
    if found := _ISO.fullmatch(text):
        return _from_iso(found, zone, where)
    if found := _APACHE.fullmatch(text):
        return round(datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z").timestamp() * 1000)
    raise _unreadable(text, where)


def _from_epoch(text: str) -> int:
    value = float(text)
    factor = next(factor for limit, factor in _EPOCH_UNITS if value < limit)
    return round(value * factor)


def _from_iso(found: re.Match[str], zone: str, where: str) -> int:
    *digits, fraction, offset = found.groups()
    try:
        moment = datetime(*map(int, digits))  # type: ignore[arg-type]
        if offset is None:
            if not zone:
                raise SandboxError(f"{where}: the time {found[0]!r} names no zone. Say it: --zone UTC")
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        elif offset in ("Z", "UTC", "GMT"):
            moment = moment.replace(tzinfo=UTC)
        else:
            moment = moment.replace(tzinfo=datetime.strptime(_full(offset), "%z").tzinfo)
    except ValueError as problem:
        raise _unreadable(found[0], where) from problem
    return int(moment.timestamp()) * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def _full(offset: str) -> str:
    plain = offset.replace(":", "")
    return plain if len(plain) == 5 else plain + "00"


def _unreadable(text: str, where: str) -> SandboxError:
    return SandboxError(
        f"{where}: {text[:60]!r} is no time that can be read (2026-11-02T10:00:00.123Z, 2026-11-02 10:00:00,123, "
        "02/Nov/2026:10:00:00 +0900, or seconds since 1970). Nothing was loaded."
    )
