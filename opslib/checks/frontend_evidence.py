"""The evidence under `slow-frontend`: builds and the log of a failed one, health checkers, certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.checks.frontend_story import CRITICAL_DAYS, ENDED, WARN_DAYS, served, short_reason
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, local, took
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

_STATES = {"FAILED": "failed", "RUNNING": "is running", "PENDING": "is pending", "CANCELLED": "was cancelled"}


def builds(run: Run, frames: dict[str, pd.DataFrame], fact: Fact, window: Window) -> Result:
    """Show the last builds of the branch that customers see."""
    import pandas as pd

    source = Source("Amplify ListJobs", run.identity.account, run.environment.region, "30 days")
    jobs = frames.get("amplify_jobs")
    if jobs is None:
        return _gone("builds", "Builds", fact)
    if not len(jobs):
        return Result(
            "builds",
            "Builds",
            Verdict.OK,
            "No build in 30 days.",
            Sight.NO_DATA,
            "no job of the branch, or no app is configured",
        )
    seconds = (jobs["finished"] - jobs["started"]).dt.total_seconds()
    shown = pd.DataFrame({
        "build": jobs["job"], "branch": jobs["branch"], "type": jobs["type"], "status": jobs["status"],
        "started": [local(at, window) for at in jobs["started"]], "took": [took(value) for value in seconds],
        "commit": jobs["commit"].str[:8], "message": [shortened(text, 70) for text in jobs["message"]], FLAG: jobs["status"] == "FAILED",
    })  # fmt: skip
    shown.attrs |= {"rows": 8, "total": len(shown)}
    good, ended = jobs[jobs["status"] == "SUCCEED"], jobs[jobs["status"].isin(ENDED)]
    newest, failed = jobs.iloc[0], int((jobs["status"] == "FAILED").sum())
    verdict = Verdict.WARN if len(ended) and ended["status"].iloc[0] == "FAILED" else Verdict.OK
    seen = (
        f"Customers see build {good['job'].iloc[0]} of {local(good['finished'].iloc[0], window)}"
        if len(good)
        else "No build succeeded"
    )
    later = (
        ""
        if len(good) and newest["job"] == good["job"].iloc[0]
        else f"; build {newest['job']} {_STATES.get(newest['status'], newest['status'])}"
    )
    usual = f", one takes {took(seconds[good.index].median())}" if len(good) else ""
    sentence = f"{seen}{later}; {failed} of {counted(len(jobs), 'build')} in 30 days failed{usual}."
    return Result("builds", "Builds", verdict, sentence, table=shown, sources=(source,))


def build_log(run: Run, frames: dict[str, pd.DataFrame], fact: Fact | None) -> Result:
    """Show the end of the log of the step that failed."""
    import pandas as pd

    if fact is None:
        return Result("build_log", "Build log", Verdict.OK, "The newest build did not fail: there is no log to show.")
    if fact.frame is None:
        return _gone("build_log", "Build log", fact)
    log = fact.frame
    lines = pd.DataFrame({"line": [shortened(line, 300) for line in log["line"]]})
    lines.attrs["rows"] = 40
    sentence = f"The step {log.attrs['step']} failed; the last {counted(len(log), 'line')} of {log.attrs['total']}:"
    source = Source("Amplify GetJob", run.identity.account, run.environment.region, note="the log's presigned address")
    return Result("build_log", "Build log", Verdict.WARN, sentence, table=lines, sources=(source,))


def health(run: Run, frames: dict[str, pd.DataFrame], fact: Fact) -> Result:
    """Show what the health checkers see, by region."""
    import pandas as pd

    seen = frames.get("checkers")
    if seen is None:
        return _gone("health", "Health checks", fact)
    source = Source(
        "Route 53 GetHealthCheckStatus",
        run.identity.account,
        "us-east-1",
        note="certificates are not validated by the checkers",
    )
    if not len(seen):
        return Result(
            "health",
            "Health checks",
            Verdict.UNKNOWN,
            "No checker looks.",
            Sight.NO_DATA,
            "health_checks of opslib.toml is empty, or names calculated checks",
            sources=(source,),
        )
    grouped = seen.groupby(["name", "region"], sort=True)
    rows = [
        {"check": name, "region": region, "reach it": f"{int(group['healthy'].sum())} of {len(group)}", "status": short_reason(_worst(group)), FLAG: not group["healthy"].all()}
        for (name, region), group in grouped
    ]  # fmt: skip
    bad = int((~seen["healthy"]).sum())
    sentence = (
        f"{counted(len(seen), 'checker')} in {counted(seen['region'].nunique(), 'region')} reach the site."
        if not bad
        else f"{bad} of {counted(len(seen), 'checker')} do not reach the site: {short_reason(_worst(seen))}."
    )
    verdict = Verdict.OK if not bad else Verdict.CRITICAL if bad > 0.8 * len(seen) else Verdict.WARN
    return Result("health", "Health checks", verdict, sentence, table=pd.DataFrame(rows), sources=(source,))


def _worst(group: Any) -> str:
    bad = group.loc[~group["healthy"], "status"]
    return str((bad if len(bad) else group["status"]).mode().iloc[0])


def certificates(run: Run, frames: dict[str, pd.DataFrame], fact: Fact, window: Window) -> Result:
    """Show how many days each certificate in use has left."""
    import pandas as pd

    if frames.get("certificates") is None:
        return _gone("certificates", "Certificates", fact)
    source = Source(
        "ACM ListCertificates, DescribeCertificate", run.identity.account, f"us-east-1, {run.environment.region}"
    )
    used = served(frames)
    if not used:
        return Result("certificates", "Certificates", Verdict.OK, "No certificate of ACM is in use.", sources=(source,))
    rows = [
        {"domain": one.domain, "status": one.status, "days left": int(one.days_left // 1), "ends": f"{window.local(one.not_after):%Y-%m-%d}", "type": one.type,
         "renewal": one.renewal or "–", "region": one.region, FLAG: one.days_left < WARN_DAYS}
        for one in used
    ]  # fmt: skip
    first = min(used, key=lambda one: one.days_left)
    verdict = (
        Verdict.CRITICAL
        if first.days_left < CRITICAL_DAYS
        else Verdict.WARN
        if first.days_left < WARN_DAYS
        else Verdict.OK
    )
    said = (
        f"has {first.days_left:.0f} days left" if first.days_left >= 0 else f"expired {-first.days_left:.1f} days ago"
    )
    return Result(
        "certificates",
        "Certificates",
        verdict,
        f"The certificate of {first.domain} {said}.",
        table=pd.DataFrame(rows),
        sources=(source,),
    )


def _gone(name: str, title: str, fact: Fact) -> Result:
    error = fact.error
    why = " — ".join(part for part in (error.what, error.why, error.fix) if part) if error else "not asked"
    return Result(name, title, Verdict.UNKNOWN, f"{title} could not be seen.", Sight(fact.sight), why)
