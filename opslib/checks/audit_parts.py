"""The evidence under `who-did-what`: each part answers one question with one chart or table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.checks import audit_story, over_time
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed
from opslib.database import query_text
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run
    from opslib.window import Window

SHOWN = 40
PARTS = {"findings": "What is unusual", "timeline": "When", "actors": "Who", "logins": "Logins", "operations": "Operations"}  # fmt: skip


def unusual(run: Run, found: pd.DataFrame, source: Source, compared: bool) -> Result:
    """Show every finding with its evidence."""
    import pandas as pd

    against = "against the 30 days before" if compared else "without any history to compare with"
    if not len(found):
        sentence = f"Nothing unusual, {against}."
        return Result("findings", PARTS["findings"], Verdict.OK, sentence, sources=(source, *_habits(compared)))
    shown = pd.DataFrame({
        "what": found["rule"], "who": found["actor"], f"first ({run.environment.timezone})": over_time.local_times(run, found["first"]),
        f"last ({run.environment.timezone})": over_time.local_times(run, found["last"]), "rows": found["rows"], "evidence": found["what"],
        "request": found["request_id"].replace("", "–"), FLAG: found["severity"] == audit_story.CRITICAL,
    })  # fmt: skip
    kinds = [f"{count} × {rule}" for rule, count in found["rule"].value_counts(sort=False).items()]
    sentence = f"{counted(len(found), 'finding')}, {against}: {listed(kinds, 6)}."
    verdict = Verdict.CRITICAL if (found["severity"] == audit_story.CRITICAL).any() else Verdict.WARN
    return Result(
        "findings",
        PARTS["findings"],
        verdict,
        sentence,
        table=shown,
        sources=(source, *_habits(compared)),
        data=("data/findings.csv" if run.folder else "",),
    )


def timeline(run: Run, rows: pd.DataFrame, window: Window, source: Source) -> Result:
    """Show operations over time: administrators, customers, systems."""

    names = {"staff": "administrators", "user": "customers", "system": "system"}
    kind = rows["actor_type"].map(names).fillna("others")
    series = [name for name in [*names.values(), "others"] if (kind == name).any()] or ["administrators"]
    counts = over_time.counts(run, window, {name: rows.loc[kind == name, "at"] for name in series})
    staff = int((kind == "administrators").sum())
    sentence = f"{counted(len(rows), 'operation')}, {staff:,} of them by administrators."
    chart = over_time.chart(counts, title=sentence, unit="operations")
    return Result("timeline", PARTS["timeline"], Verdict.OK, sentence, chart=chart, sources=(source,))


def actors(run: Run, rows: pd.DataFrame, source: Source) -> Result:
    """Show each administrator and system, and customers as one, or those who did most when there is nobody else."""
    import pandas as pd

    some = rows[rows["actor_type"] != "user"]
    some = some if len(some) else rows[rows["actor"].isin(list(rows["actor"].value_counts().head(SHOWN).index))]
    lines = []
    for (kind, actor), frame in some.groupby(["actor_type", "actor"]):
        actions = [f"{action} {count:,}" for action, count in frame["action"].value_counts().head(5).items()]
        more = frame["action"].nunique() - len(actions)
        networks = frame["ip"].map(lambda ip: audit_story.network_of(str(ip), 24)).replace("", "–")
        lines.append([actor, kind, len(frame), int((frame["outcome"] != "success").sum()), "; ".join(actions) + (f"; {more} more" if more > 0 else ""),
                      listed(sorted(set(networks)), 3), frame["at"].max()])  # fmt: skip
    columns = ["who", "kind", "operations", "failed", "what", "from", "last"]
    table = pd.DataFrame(lines, columns=columns).sort_values(
        ["kind", "operations", "who"], ascending=[True, False, True]
    )
    table["last"] = over_time.local_times(run, table["last"])
    customers = rows.loc[rows["actor_type"] == "user", "actor"].nunique()
    staff = table.loc[table["kind"] == "staff", "who"].nunique()
    sentence = f"{counted(staff, 'administrator')}, {counted(customers, 'customer')}, {counted(int((table['kind'] == 'system').sum()), 'system')}."
    shown = table.rename(columns={"last": f"last ({run.environment.timezone})"}).reset_index(drop=True)
    return Result(
        "actors", PARTS["actors"], Verdict.OK, sentence, table=shown if len(shown) else None, sources=(source,)
    )


def logins(run: Run, rows: pd.DataFrame, window: Window, source: Source, *, odd: bool) -> Result:
    """Show logins over time, ok and failed, and from which networks most failures come."""

    tried = audit_story.logins(rows)
    if not len(tried):
        return Result("logins", PARTS["logins"], Verdict.OK, "No login is among these operations.", sources=(source,))
    good = tried["outcome"] == "success"
    counts = over_time.counts(run, window, {"ok": tried.loc[good, "at"], "failed": tried.loc[~good, "at"]})
    networks = tried.loc[~good, "ip"].map(lambda ip: audit_story.network_of(str(ip), 16)).value_counts()
    most = f", {networks.iloc[0]:,} of them from {networks.index[0]}" if len(networks) else ""
    sentence = f"{int((~good).sum()):,} of {counted(len(tried), 'login')} failed ({(~good).mean():.0%}){most}."
    return Result("logins", PARTS["logins"], Verdict.WARN if odd else Verdict.OK, sentence,
                  chart=over_time.chart(counts, title=sentence, unit="logins"), sources=(source,))  # fmt: skip


def operations(run: Run, rows: pd.DataFrame, found: pd.DataFrame, source: Source, *, named: bool) -> Result:
    """Show the operations themselves, newest first: all that were asked for, or the administrators' when nobody was named."""
    import pandas as pd

    chosen = rows if named else rows[rows["actor_type"] == "staff"]
    chosen = chosen.sort_values(["at", "id"], ascending=False).reset_index(drop=True)
    shown = chosen.head(SHOWN)
    target = shown["target_type"].fillna("") + " " + shown["target_id"].fillna("")
    table = pd.DataFrame({
        f"time ({run.environment.timezone})": shown["at"].dt.tz_convert(run.environment.timezone).dt.strftime("%m-%d %H:%M:%S"),
        "who": shown["actor"], "action": shown["action"], "target": target.str.strip(), "outcome": shown["outcome"],
        "from": [masked_ip(row) for row in shown.itertuples()], "request": shown["request_id"].fillna("–"),
        "detail": shown["detail"].fillna("").map(lambda text: shortened(str(text), 80)).replace("{}", ""),
        FLAG: shown["request_id"].isin(list(found["request_id"].replace("", None).dropna())),
    })  # fmt: skip
    if not shown["detail"].fillna("{}").replace("", "{}").ne("{}").any():
        table = table.drop(columns="detail")
    table.attrs.update(rows=SHOWN, total=len(chosen))
    whose = "operations" if named else "operations of administrators"
    sentence = (
        f"The last {len(shown)} of {len(chosen):,} {whose}, newest first." if len(chosen) else f"There are no {whose}."
    )
    return Result("operations", PARTS["operations"], Verdict.OK, sentence, table=table if len(table) else None,
                  sources=(source,), data=("data/audit_rows.csv" if run.folder else "",))  # fmt: skip


def blind(fact: Fact, problems: list[str]) -> Result:
    """Return the answer when neither the table nor the logs could be read."""
    sight = Sight(fact.sight)
    empty = tuple(
        Result(name, title, Verdict.UNKNOWN, "Nothing to show: no operation could be read.", sight, "see the verdict")
        for name, title in PARTS.items()
    )
    return Result(
        "who-did-what",
        "Operations",
        Verdict.UNKNOWN,
        "Who did what could not be seen.",
        sight,
        "; ".join(problems),
        parts=empty,
    )


def source(run: Run, window: Window, rows: pd.DataFrame) -> Source:
    """Return where the rows are from: the table on primary or replica, or the log group."""
    attrs, env = rows.attrs, run.environment
    if attrs.get("query"):
        return Source(
            "CloudWatch Logs Insights",
            run.identity.account,
            env.region,
            window.text(),
            attrs["query"],
            str(attrs["read_from"]),
            float(attrs["usd"]),
        )
    return over_time.source(run, window, "audit_logs_page", rows)


def _habits(compared: bool) -> tuple[Source, ...]:
    return (
        (Source("PostgreSQL", query=query_text("audit_habits"), note="administrators and who was named"),)
        if compared
        else ()
    )


def masked_ip(row: Any) -> str:
    """Return a customer's address without its last part; of staff and systems the whole."""
    ip = str(row.ip) if row.ip == row.ip and row.ip else "–"
    if row.actor_type != "user" or ip == "–":
        return ip
    return ip.rsplit(".", 1)[0] + ".*" if "." in ip else audit_story.network_of(ip, 24)
