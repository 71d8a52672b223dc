"""The evidence under `suspicious-operations`: findings, the rows behind them, what was looked for, and both sources compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opslib.checks import audit_parts, over_time
from opslib.checks.audit_events import Trail
from opslib.checks.audit_story import CRITICAL
from opslib.checks.detections import DETECTIONS
from opslib.checks.wording import counted, listed
from opslib.database import query_text
from opslib.display import FLAG
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

PARTS = {"findings": "What was found", "rows": "The rows behind it", "detections": "What was looked for", "sources": "Table and log compared"}  # fmt: skip
SHOWN, EACH, ROWS = 20, 5, 40
LACKS = {
    "table": "operations are in the log and not in the table", "log": "operations are in the table and not in the log",
    "both": "numbers are in neither, as inserts leave them that are rolled back",
}  # fmt: skip
BOTH = {"audit_table": "audit_logs (table)", "audit_lines": "audit log group"}


def asked(trail: Trail, cheap: bool) -> list[str]:
    """Return which detections could look."""
    return [name for name, about in DETECTIONS.items() if (about.cheap or not cheap) and (trail.history is not None or not about.history)]  # fmt: skip


def findings(run: Run, trail: Trail, found: pd.DataFrame, frames: Mapping[str, pd.DataFrame]) -> Result:
    """Show every finding: what, who, from where, when, how many rows, why, and the runbook that shows it all."""
    import pandas as pd

    if not len(found):
        return Result(
            "findings", PARTS["findings"], Verdict.OK, "Nothing was found.", sources=sources(run, trail, frames)
        )
    shown = found.head(SHOWN)
    zone = run.environment.timezone
    table = pd.DataFrame({
        "#": range(1, len(shown) + 1), "what": shown["detection"], "who": shown["who"], "why": shown["explanation"],
        f"when ({zone})": over_time.local_times(run, shown["since"]) + "–" + over_time.local_times(run, shown["until"]).str[6:],
        "rows": shown["count"], "severity": shown["severity"], "from": shown["origin"].replace("", "–"), FLAG: shown["severity"] == CRITICAL,
    })  # fmt: skip
    table.attrs.update(rows=SHOWN, total=len(found))
    kinds = [f"{count} × {name}" for name, count in found["detection"].value_counts(sort=False).items()]
    quiet = int((found["severity"] == "info").sum())
    sentence = f"{counted(len(found), 'finding')}: {listed(kinds, 6)}." + (
        f" {quiet} of them only for information." if quiet else ""
    )
    worst = found["severity"].iloc[0]
    verdict = Verdict.CRITICAL if worst == CRITICAL else Verdict.OK if worst == "info" else Verdict.WARN
    data = ("data/findings.csv" if run.folder else "",)
    return Result(
        "findings", PARTS["findings"], verdict, sentence, table=table, sources=sources(run, trail, frames), data=data
    )


def behind(run: Run, trail: Trail, found: pd.DataFrame, frames: Mapping[str, pd.DataFrame]) -> Result:
    """Show the last rows of each finding, numbered as the findings are."""
    import pandas as pd

    each = min(EACH, ROWS // max(1, min(len(found), SHOWN)))
    parts = [
        trail.events.loc[one.rows[-each:]].assign(number=place)
        for place, one in enumerate(found.head(SHOWN).itertuples(), 1)
    ]
    if not parts:
        return Result("rows", PARTS["rows"], Verdict.OK, "There are none.", sources=sources(run, trail, frames))
    rows = pd.concat(parts)
    local = rows["at"].dt.tz_convert(run.environment.timezone).dt.strftime("%m-%d %H:%M:%S")
    table = pd.DataFrame({
        "#": rows["number"], f"time ({run.environment.timezone})": local, "who": rows["actor"], "action": rows["action"],
        "target": rows["object"].replace("", "–"), "outcome": rows["outcome"], "from": [audit_parts.masked_ip(row) for row in rows.itertuples()],
        "request": rows["request_id"].replace("", "–"),
    }).reset_index(drop=True)  # fmt: skip
    table.attrs.update(rows=ROWS, total=len(table))
    sentence = (
        f"Of each finding the last {each} rows at most; # is its number above. All of them: the runbook under Next."
    )
    return Result(
        "rows", PARTS["rows"], Verdict.OK, sentence, table=table.head(ROWS), sources=sources(run, trail, frames)
    )


def looked(trail: Trail, found: pd.DataFrame, frames: Mapping[str, pd.DataFrame], run: Run, cheap: bool) -> Result:
    """Show each detection, how often it found something, and which could not look."""
    import pandas as pd

    could, counts = asked(trail, cheap), found["detection"].value_counts()

    def state(name: str) -> str:
        if name in could:
            return str(int(counts.get(name, 0)))
        return "not asked" if cheap else "no history"

    table = pd.DataFrame({
        "detection": list(DETECTIONS), "looks for": [about.looks_for for about in DETECTIONS.values()], "found": [state(name) for name in DETECTIONS],
        FLAG: [name in counts.index for name in DETECTIONS],
    })  # fmt: skip
    blind = [name for name in DETECTIONS if name not in could]
    sentence = f"{counted(len(could), 'detection')} looked, {found['detection'].nunique()} found something."
    sentence += (
        ' The others need a day of operations or a history: `detections = "all"`.'
        if cheap
        else f" Could not look: {listed(blind, 9)}."
        if blind
        else ""
    )
    return Result("detections", PARTS["detections"], Verdict.OK, sentence, Sight.PARTIAL if blind and not cheap else Sight.COMPLETE,
                  "the table's history is missing" if blind and not cheap else "", table=table, sources=sources(run, trail, frames))  # fmt: skip


def compared(run: Run, trail: Trail, found: pd.DataFrame, frames: Mapping[str, pd.DataFrame]) -> Result:
    """Show how many operations each source has, and what one lacks of the other's."""
    import pandas as pd

    table = pd.DataFrame({
        "source": [BOTH[name] for name in BOTH], "operations": [f"{len(frames[name]):,}" if name in frames else "not seen" for name in BOTH],
        "read from": [str(frames[name].attrs.get("read_from", "")) if name in frames else "–" for name in BOTH],
        "lacks": [_lacks(trail, name) for name in ("table", "log")], FLAG: [_lacking(trail, name) > 0 for name in ("table", "log")],
    })  # fmt: skip
    unseen = [BOTH[name] for name in BOTH if name not in frames]
    if trail.missing is None:
        sentence = "They could not be compared" + (f": {listed(unseen)} could not be read." if unseen else ".")
        return Result(
            "sources",
            PARTS["sources"],
            Verdict.UNKNOWN,
            sentence,
            Sight.PARTIAL,
            "one source was not seen whole",
            table=table,
            sources=sources(run, trail, frames),
        )
    counts = trail.missing["lacks"].value_counts()
    said = [f"{counts[name]:,} {words}" for name, words in LACKS.items() if name in counts.index]
    sentence = f"{listed(said)}." if said else "Both have the same operations, and no number is missing."
    told = found["key"].str.contains(":lacks-", regex=False).any()
    verdict = Verdict.WARN if told else Verdict.OK
    return Result("sources", PARTS["sources"], verdict, sentence, table=table, sources=sources(run, trail, frames))


def step(trail: Trail, one: Any) -> Next:
    """Return who-did-what for the actor of a finding, or for its time when it names no actor."""
    start = one.since.floor("min").to_pydatetime()
    span = Window(
        min(start, trail.window.end), max(trail.window.end, one.until.ceil("min").to_pydatetime()), trail.window.zone
    )
    known = one.who in set(trail.events["actor"])
    who = {"user_id": str(one.who)} if known else {}
    return Next(
        "2-investigate/who-did-what",
        {**who, "window": span.as_parameter()},
        f"{one.detection} ({one.who}): see all that was done",
    )


def sources(run: Run, trail: Trail, frames: Mapping[str, pd.DataFrame]) -> tuple[Source, ...]:
    """Return where the operations are from, and the history."""
    found = [audit_parts.source(run, trail.window, frame) for frame in frames.values()]
    return (
        *found,
        *([] if trail.history is None else [Source("PostgreSQL", query=query_text("audit_history"), note="habits")]),
    )


def blind(facts: Mapping[str, Fact], problems: list[str]) -> Result:
    """Return the answer when neither source could be read."""
    sights = [fact.sight for fact in facts.values()]
    sight = Sight.DENIED if "denied" in sights else Sight(sights[0])
    said = "Nothing to show: no operation could be read."
    empty = tuple(Result(name, title, Verdict.UNKNOWN, said, sight, "see the verdict") for name, title in PARTS.items())
    told = "Whether anything suspicious was done could not be seen."
    return Result(
        "suspicious-operations", "Suspicious operations", Verdict.UNKNOWN, told, sight, "; ".join(problems), parts=empty
    )


def _lacking(trail: Trail, name: str) -> int:
    return 0 if trail.missing is None else int(trail.missing["lacks"].eq(name).sum())


def _lacks(trail: Trail, name: str) -> str:
    count = _lacking(trail, name)
    return "–" if trail.missing is None else f"{count:,}" if count else "nothing"
