"""The one form in which detections see operations, whether they come from the audit log group, the table or both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from opslib.checks.audit_story import CRITICAL, LOGIN, WARN, network_of

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

INFO = "info"  # worth a line for who looks, and nobody's attention
DENIED = re.compile(r"denied|forbidden|unauthori[sz]ed|refused|40[13]", re.I)
NUMBER, KEY = r'"rows":\s*"?(\d{1,15})', r'"api_key":\s*"([^"]{1,128})"'
FOUND = ["detection", "severity", "who", "origin", "since", "until", "count", "explanation", "key", "reached", "rows"]


@dataclass(frozen=True)
class Trail:
    """What detections look at: events, and of each one who is no customer the habits, by hour, before the window.

    `events` reaches further back than `window`: a burst may have begun before. `history` (queries/audit_history.sql)
    is None when it was not asked for or not answered; `missing` are ids that one of both sources lacks.
    """

    events: pd.DataFrame
    window: Window
    history: pd.DataFrame | None = None
    missing: pd.DataFrame | None = None

    def only(self, chosen: pd.Series) -> Trail:
        """Return the trail of some of its events."""
        return replace(self, events=self.events[chosen])


@dataclass(frozen=True)
class Suspicion:
    """What a detection found: the rows behind it by their index, and since when it could have been known."""

    detection: str
    severity: str
    who: str
    explanation: str
    rows: pd.DataFrame
    reached: pd.Timestamp | None = None
    about: str = ""  # what distinguishes two findings of one detection on one actor and day
    until: pd.Timestamp | None = None  # when it went on after the last of its rows

    def row(self, zone: str) -> list[object]:
        """Return it as a row of FOUND; the key names detection, who, what and the day, and no number that grows."""
        since, until = self.rows["at"].min(), self.until or self.rows["at"].max()
        day = since.tz_convert(zone).date().isoformat()
        key = ":".join(part for part in ("audit", self.detection.replace(" ", "-"), self.who, self.about, day) if part)
        networks = [name for name in dict.fromkeys(self.rows["network"]) if name]
        origin = ", ".join(networks[:3]) + (f" and {len(networks) - 3} more" if len(networks) > 3 else "")
        return [self.detection, self.severity, self.who, origin, since, until, len(self.rows), self.explanation,
                key[:255], self.reached or until, list(self.rows.index)]  # fmt: skip


def events(rows: pd.DataFrame) -> pd.DataFrame:
    """Return audit rows or lines (sources.audit.COLUMNS) in the form of detections, oldest first.

    Adds: good, login, denied bool; network (/24, IPv6 /48), object (what was touched), api_key str, exported int64.
    Missing text becomes empty. attrs stay.
    """
    frame = rows.copy()
    texts = [name for name in frame.columns if name not in ("id", "at")]
    frame[texts] = frame[texts].fillna("").astype("str")
    frame = frame.sort_values(["at", "id"], kind="stable", ignore_index=True)
    frame["good"] = frame["outcome"] == "success"
    frame["login"] = matching(frame["action"], LOGIN)
    refused = matching(frame["outcome"], DENIED) | ((frame["actor_type"] != "user") & (frame["outcome"] == "failure"))
    frame["denied"] = refused & ~frame["login"] & (frame["actor_type"] != "system")
    frame["network"] = [network_of(ip, 24) for ip in frame["ip"]]
    frame["object"] = (frame["target_type"] + " " + frame["target_id"]).where(~frame["target_id"].isin(["", "-"]), "")
    detail = frame["detail"]
    frame["api_key"] = detail.str.extract(KEY, expand=False).fillna("").astype("str")
    frame["exported"] = detail.str.extract(NUMBER, expand=False).fillna("0").astype("int64")
    frame.attrs = dict(rows.attrs)
    return frame


def matching(values: pd.Series, pattern: re.Pattern[str]) -> pd.Series:
    """Tell of each text whether the pattern occurs in it, looking at each different text once."""
    found = {value for value in values.unique() if pattern.search(value)}
    return values.isin(found)


def compared(
    table: pd.DataFrame, lines: pd.DataFrame, *, since: datetime, before: datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what either source has, oldest first, and what one lacks or both: columns id int64, lacks table, log or both.

    Compared are the ids from the first to the last that either has in [since, before): lines arrive late, and both
    frames must reach some minutes further. Lines without an id are left out.
    """
    import numpy as np
    import pandas as pd

    more = lines[(lines["id"] > 0) & ~lines["id"].isin(table["id"])]
    every = pd.concat([table, more], ignore_index=True).sort_values(["at", "id"], kind="stable", ignore_index=True)
    every.attrs = {}
    ids = every.loc[(every["at"] >= since) & (every["at"] < before), "id"].to_numpy()
    between = np.arange(ids.min(), ids.max() + 1) if len(ids) else ids
    lacking = {
        "table": ids[~np.isin(ids, table["id"])],
        "log": ids[~np.isin(ids, lines["id"])],
        "both": between[~np.isin(between, every["id"])],
    }
    found = pd.concat([pd.DataFrame({"id": np.sort(some), "lacks": where}) for where, some in lacking.items()])
    return every, found.reset_index(drop=True)


def found(suspicions: Sequence[Suspicion] | Iterator[Suspicion], *, zone: str) -> pd.DataFrame:
    """Return suspicions as a frame of FOUND, worst first, oldest first."""
    import pandas as pd

    order = {CRITICAL: 0, WARN: 1, INFO: 2}
    rows = [one.row(zone) for one in suspicions]
    frame = pd.DataFrame(sorted(rows, key=lambda row: (order[str(row[1])], row[4], row[0], row[2])), columns=FOUND)
    for column in ("since", "until", "reached"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[ns, UTC]")
    return frame
