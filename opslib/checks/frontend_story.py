"""Who is to blame for a slow or broken front end: DNS and certificate, the edge, the build, or the origin. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.checks.frontend_signals import Finding
from opslib.checks.wording import local
from opslib.result import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

SUSPECTS = {
    "dns": "DNS and certificate",
    "edge": "the edge (CloudFront)",
    "build": "the build (Amplify)",
    "origin": "the origin",
}
CRITICAL_DAYS, WARN_DAYS = 7, 30  # a managed certificate is renewed 60 days before its end
NEAR = timedelta(minutes=20)  # a change so long before may be the cause
ENDED = ("SUCCEED", "FAILED", "CANCELLED")


@dataclass
class Reading:
    """What is known of one suspect: how bad, since when, and the evidence in clauses, the telling one first."""

    suspect: str
    verdict: Verdict = Verdict.OK
    since: Any = None
    said: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict, text: str, since: Any = None) -> None:
        """Note a piece of evidence."""
        worse = [Verdict.OK, Verdict.WARN, Verdict.CRITICAL]
        self.verdict = max(self.verdict, verdict, key=worse.index)
        self.said.append(text)
        if since is not None and (self.since is None or since < self.since):
            self.since = since


def readings(frames: dict[str, pd.DataFrame], found: list[Finding], *, window: Window) -> dict[str, Reading]:
    """Return the reading of each suspect; `frames` by source: jobs, distribution, health, record, certificates (any may be missing)."""
    told = {name: Reading(name) for name in SUSPECTS}
    _dns(told["dns"], frames, window)
    _distribution(told["edge"], frames, found, window)
    _builds(told["build"], frames, found, window)
    for one in found:
        if not one.signal.suspect:
            continue  # it is shown, and speaks against nobody
        verdict = Verdict.CRITICAL if one.critical and one.until is None else Verdict.WARN
        told[one.signal.suspect].add(verdict, signal_text(one, window), one.since)
    return told


def blamed(told: dict[str, Reading]) -> Reading | None:
    """Return who is to blame: nobody, or the first on a customer's way who is as bad as the worst.

    What stands before explains what follows: a record that leads nowhere keeps requests from the edge, an edge that
    does not cache burdens the origin. Only errors that the origin itself gives are never the edge's.
    """
    for verdict in (Verdict.CRITICAL, Verdict.WARN):
        for name in ("dns", "edge", "build", "origin"):
            reading = told[name]
            if reading.verdict is verdict and not (name == "edge" and _from_origin(told)):
                return reading
    return None


def _from_origin(told: dict[str, Reading]) -> bool:
    only = all("5xx at the edge" in text for text in told["edge"].said)
    return only and any("5xx behind" in text for text in told["origin"].said)


def signal_text(found: Finding, window: Window) -> str:
    """Return "cache hit rate 47 %, usually 92 %, since 11:16 JST"."""
    unit = found.signal.unit
    over = f" to {local(found.until, window)}, over now" if found.until is not None else ""
    return f"{found.signal.words} {number(found.now)} {unit}, usually {number(found.usual)}, {'from' if over else 'since'} {local(found.since, window)}{over}"


def number(value: float) -> str:
    """Return a number with as many digits as it is worth."""
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _dns(told: Reading, frames: dict[str, pd.DataFrame], window: Window) -> None:
    record, site = frames.get("record"), frames.get("distribution")
    if record is not None and len(record) and site is not None and len(site):
        name, domain = record["name"].iloc[0], site["domain"].iloc[0]
        if domain and domain not in set(record["target"]):
            told.add(Verdict.CRITICAL, f"{name} points at {record['target'].iloc[0]}, not at the distribution")
    for check in _rows(frames, "health"):
        if check.failing:
            verdict = Verdict.CRITICAL if not check.healthy else Verdict.WARN
            told.add(
                verdict,
                f"{check.failing} of {check.checkers} checkers do not reach {check.name} ({short_reason(check.reason)})",
            )
    for one in served(frames):
        if one.days_left < 0:
            told.add(
                Verdict.CRITICAL,
                f"the certificate of {one.domain} expired {local(one.not_after, window)}",
                one.not_after,
            )
        elif one.days_left < WARN_DAYS:
            verdict = Verdict.CRITICAL if one.days_left < CRITICAL_DAYS else Verdict.WARN
            told.add(verdict, f"the certificate of {one.domain} ends in {one.days_left:.0f} days")


def served(frames: dict[str, pd.DataFrame]) -> list[Any]:
    """Return the certificates that customers meet: that of the distribution, and others in use."""
    site = frames.get("distribution")
    arn = "" if site is None or not len(site) else site["certificate"].iloc[0]
    return [
        one
        for one in _rows(frames, "certificates")
        if (one.in_use or one.arn == arn) and one.days_left == one.days_left
    ]


def short_reason(reason: str) -> str:
    """Return the first sentence of what a checker says."""
    return reason.removeprefix("Failure: ").split(". ")[0].rstrip(".")


def _distribution(told: Reading, frames: dict[str, pd.DataFrame], found: list[Finding], window: Window) -> None:
    for site in _rows(frames, "distribution"):
        if not site.enabled:
            told.add(Verdict.CRITICAL, f"distribution {site.distribution} is disabled")
        hits = next((one for one in found if one.signal.metric == "CacheHitRate"), None)
        if (
            hits
            and site.last_modified == site.last_modified
            and timedelta(0) <= hits.since - site.last_modified <= NEAR
        ):
            policy = " and no longer caches pages (CachingDisabled)" if "*" in site.uncached.split(", ") else ""
            told.add(
                Verdict.WARN,
                f"the distribution was changed at {local(site.last_modified, window)}{policy}",
                site.last_modified,
            )


def _builds(told: Reading, frames: dict[str, pd.DataFrame], found: list[Finding], window: Window) -> None:
    jobs = frames.get("amplify_jobs")
    ended = [] if jobs is None else [job for job in jobs.itertuples() if job.status in ENDED]
    if not ended or ended[0].status != "FAILED":
        return
    good = next((job for job in ended if job.status == "SUCCEED"), None)
    shown = (
        f"the site shows the build of {local(good.finished, window)}"
        if good
        else "no build of the last 30 days succeeded"
    )
    error = error_of(frames.get("build_log"))
    why = f" ({error})" if error else ""
    hurt = any(one.signal.suspect == "build" for one in found)
    verdict = Verdict.CRITICAL if hurt else Verdict.WARN
    job = ended[0]
    told.add(
        verdict, f"build {job.job} of {job.branch} failed {local(job.finished, window)}{why}; {shown}", job.finished
    )


def error_of(log: pd.DataFrame | None) -> str:
    """Return the line of a build's log that says most: the first error with a few words."""
    lines = [] if log is None else [line.split("]: ", 1)[-1].strip() for line in log["line"]]
    errors = [line for line in lines if "error" in line.lower() and not line.startswith("!!!")]
    return next((line for line in errors if len(line.split()) > 5), errors[0] if errors else "")


def _rows(frames: dict[str, pd.DataFrame], name: str) -> list[Any]:
    frame = frames.get(name)
    return [] if frame is None else list(frame.itertuples())
