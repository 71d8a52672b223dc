"""How numbers, times and lists read in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opslib.window import Window


def counted(count: int, noun: str) -> str:
    """Return "1 row" or "3 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def listed(parts: list[str], most: int = 4) -> str:
    """Return "a; b; c", and how many more there are."""
    more = [f"{len(parts) - most} more"] if len(parts) > most else []
    return "; ".join([*parts[:most], *more])


def ended(text: str) -> str:
    """Return the text with the full stop that ends a sentence, unless it ends in one or asks."""
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def local(moment: Any, window: Window) -> str:
    """Return a moment as 11:02 JST, with its date when that is not the day on which the window ends."""
    here = moment.astimezone(window.zone)
    day = "" if here.date() == window.local(window.end).date() else f"{here:%Y-%m-%d} "
    return f"{day}{here:%H:%M} {here:%Z}"


def took(seconds: float) -> str:
    """Return a duration as 640 ms, 12 s, 4 min, 2.5 h or 3 d; – when it is not known."""
    if seconds != seconds:
        return "–"
    for limit, size, unit in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}" if unit != "h" else f"{seconds / size:.1f} h".replace(".0 h", " h")
    return f"{seconds / 86_400:.0f} d"
