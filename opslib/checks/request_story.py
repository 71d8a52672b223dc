"""Read the lines of one request: spans, gaps, clock skew, the first error, what it waited for. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opslib import redact
from opslib.sources.log_lines import failing

if TYPE_CHECKING:
    import pandas as pd

GAP_MS, GAP_SHARE = 200.0, 0.2
SKEW_MS = (20.0, 5_000.0)  # less is jitter, more is another story than a clock
SLOW_MS = 3_000.0


@dataclass(frozen=True)
class Story:
    """What the lines of one request tell.

    `entry` is the line that answered the caller: it has a status, and of those the longest duration. What fails
    before it may be why it failed; what fails after it is another matter.
    """

    lines: pd.DataFrame
    spans: pd.DataFrame
    gaps: pd.DataFrame
    skewed: dict[str, float] = field(default_factory=dict)
    first_error: int | None = None
    entry: int | None = None
    total_ms: float = 0.0
    what: str = ""

    @property
    def status(self) -> float:
        """Return the status that the caller got; NaN when no line says."""
        return float("nan") if self.entry is None else float(self.lines.at[self.entry, "status"])

    @property
    def failed(self) -> bool:
        """Tell whether the caller's request failed: a status of 500 and above, or without any status an error."""
        return self.status >= 500 if self.entry is not None else self.first_error is not None

    @property
    def readable(self) -> bool:
        """Tell whether the lines say anything about success: a level, a status or an error."""
        told = (self.lines["level"] != "") | self.lines["status"].notna() | failing(self.lines)
        return bool(told.any())

    @property
    def inside(self) -> pd.DataFrame:
        """Return the lines up to the answer."""
        return (
            self.lines
            if self.entry is None
            else self.lines[self.lines["at_ms"] <= self.lines.at[self.entry, "at_ms"] + 1]
        )

    @property
    def errors_inside(self) -> pd.DataFrame:
        """Return the failing lines up to the answer, but the answer's own."""
        failed = self.inside[failing(self.inside)]
        return failed[failed.index != self.entry] if len(failed) > 1 else failed

    @property
    def errors_after(self) -> pd.DataFrame:
        """Return the failing lines after the answer."""
        after = self.lines.drop(self.inside.index)
        return after[failing(after)]

    @property
    def went_on_ms(self) -> float:
        """Return how long after the answer the last line came."""
        return float(self.lines["at_ms"].max() - self.inside["at_ms"].max())

    def cause(self) -> str:
        """Return what the request waited for, or the error that ended it, as part of a sentence."""
        errors = self.errors_inside
        kind = str(errors["error_kind"].iloc[0]) if len(errors) else ""
        tail = f" ({kind})" if kind else ""
        waits = self.inside[self.inside["wait_ms"].notna() & (self.inside["wait_ms"] <= self.total_ms + 50)]
        if len(waits):
            longest = waits.loc[waits["wait_ms"].idxmax()]
            return f"{longest['service']} waited {seconds_text(longest['wait_ms'])} for {longest['wait_for'] or 'something unnamed'}{tail}"
        if len(errors):
            return error_text(errors.iloc[0])
        pauses = self.gaps[self.gaps["start_ms"] < self.inside["at_ms"].max()]
        if len(pauses):
            gap = pauses.loc[(pauses["end_ms"] - pauses["start_ms"]).idxmax()]
            between = (
                f"between {gap['before']} and {gap['after']}"
                if gap["before"] != gap["after"]
                else f"in {gap['before']}"
            )
            return f"the longest pause, {seconds_text(gap['end_ms'] - gap['start_ms'])}, lies {between}"
        return ""


def error_text(line: pd.Series) -> str:
    """Return what a failing line says, as part of a sentence."""
    said = shortened(line["error_message"] or line["message"]).rstrip(".")
    kind = f" ({line['error_kind']})" if line["error_kind"] and line["error_kind"] not in said else ""
    return f"{line['service']} says {said}{kind}"


def read(lines: pd.DataFrame, *, expected: tuple[str, ...] = ()) -> Story:
    """Return the story of parsed lines (opslib.sources.log_lines.parsed), oldest first; `expected` may be silent."""
    lines = lines.sort_values("time", kind="stable").reset_index(drop=True)
    begins = lines["time"] - _durations(lines)
    origin = begins.min()
    lines = lines.assign(at_ms=_ms(lines["time"] - origin), begin_ms=_ms(begins - origin))
    failed = lines.index[failing(lines)]
    entry = _entry(lines)
    stated = float("nan") if entry is None else float(lines.at[entry, "duration_ms"])
    last = float(lines["at_ms"].max() if entry is None else lines.at[entry, "at_ms"])
    return Story(lines, spans(lines, expected), gaps(lines), skewed(lines), int(failed[0]) if len(failed) else None,
                 entry, stated if stated == stated else last, _what(lines))  # fmt: skip


def spans(lines: pd.DataFrame, expected: tuple[str, ...]) -> pd.DataFrame:
    """Return a row a service: from its first line (or where its duration began) to its last; silent ones last."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for service, own in lines.groupby("service", sort=False):
        wait = own.loc[own["wait_ms"].idxmax()] if own["wait_ms"].notna().any() else None
        note = f"{seconds_text(wait['wait_ms'])} {wait['wait_for']}" if wait is not None else ""
        error = bool(failing(own).any())
        rows.append(
            {
                "lane": service,
                "start_ms": float(own["begin_ms"].min()),
                "end_ms": float(own["at_ms"].max()),
                "lines": len(own),
                "error": error,
                "note": note,
            }
        )
    rows.sort(key=lambda row: (row["start_ms"], row["lane"]))
    heard = {row["lane"] for row in rows}
    silent = [
        {
            "lane": name,
            "start_ms": float("nan"),
            "end_ms": float("nan"),
            "lines": 0,
            "error": False,
            "note": "silent, though usual on this route",
        }
        for name in expected
        if name not in heard
    ]
    return pd.DataFrame(rows + silent, columns=["lane", "start_ms", "end_ms", "lines", "error", "note"])


def gaps(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the pauses between neighbouring lines longer than 200 ms and a fifth of the whole, with their neighbours.

    Columns: start_ms, end_ms float64, label, before, after object.
    """
    import pandas as pd

    total = float(lines["at_ms"].max() - lines["at_ms"].min())
    limit = max(GAP_MS, GAP_SHARE * total)
    rows = []
    for earlier, later in zip(lines.index[:-1], lines.index[1:], strict=True):
        start, end = float(lines.at[earlier, "at_ms"]), float(lines.at[later, "at_ms"])
        if end - start > limit:
            before, after = lines.at[earlier, "service"], lines.at[later, "service"]
            rows.append(
                {
                    "start_ms": start,
                    "end_ms": end,
                    "label": f"{seconds_text(end - start)} without a line ({before} → {after})",
                    "before": before,
                    "after": after,
                }
            )
    return pd.DataFrame(rows, columns=["start_ms", "end_ms", "label", "before", "after"])


def skewed(lines: pd.DataFrame) -> dict[str, float]:
    """Return services whose clock is behind, with milliseconds: their first line is before the request arrived.

    The request arrived when the longest measured duration began; nothing that belongs to it can be earlier.
    """
    measured = lines["duration_ms"].notna()
    if not measured.any():
        return {}
    entry = lines.loc[lines["duration_ms"].idxmax()]
    early: dict[str, float] = {}
    for service, own in lines[lines["service"] != entry["service"]].groupby("service", sort=True):
        ahead = float(entry["begin_ms"] - own["at_ms"].min())
        if SKEW_MS[0] <= ahead <= SKEW_MS[1]:
            early[str(service)] = round(ahead)
    return early


def seconds_text(ms: float) -> str:
    """Return milliseconds for people: 38 ms, 4.3 s, 2 min 5 s."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    return f"{int(ms // 60_000)} min {int(ms % 60_000 // 1000)} s"


def shortened(text: str, limit: int = 120) -> str:
    """Return the first line of a text, cut at a limit with an ellipsis."""
    return redact.cut(text.strip().split("\n", 1)[0], limit)


def _durations(lines: pd.DataFrame) -> Any:
    import pandas as pd

    return pd.to_timedelta(lines["duration_ms"].fillna(0).clip(lower=0), unit="ms")


def _ms(delta: Any) -> Any:
    return delta.dt.total_seconds() * 1000


def _entry(lines: pd.DataFrame) -> int | None:
    """The line that answered: a status, the longest duration, of equals the last."""
    stated = lines[lines["status"].notna()]
    if not len(stated):
        return None
    durations = stated["duration_ms"].fillna(-1.0)
    return int(durations[durations == durations.max()].index[-1])


def _what(lines: pd.DataFrame) -> str:
    routed = lines[lines["route"] != ""]
    if not len(routed):
        return "the request"
    methods = routed.loc[routed["method"] != "", "method"]
    return f"{methods.iloc[0]} {routed['route'].iloc[0]}" if len(methods) else str(routed["route"].iloc[0])
