"""What is said of a database in one sentence: load, connections, storage, replica, the worst first."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from opslib.checks import database_disk as disk
from opslib.checks.database_parts import meaning
from opslib.checks.database_story import Storage, Surge, growth, now_of
from opslib.checks.request_story import seconds_text, shortened
from opslib.checks.wording import ended, local, took
from opslib.result import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact
    from opslib.window import Window

Clause = tuple[Verdict, str]
_AT_WORK = {
    "available",
    "backing-up",
    "storage-optimization",
    "configuring-enhanced-monitoring",
    "configuring-log-exports",
}
_DOWN = {"failed", "stopped", "stopping", "starting", "rebooting", "storage-full", "restore-error", "deleting", "incompatible-network",
         "incompatible-parameters", "incompatible-restore", "inaccessible-encryption-credentials"}  # fmt: skip
BLOCKS, BLOCKS_A_ROW = 1_000, 50  # a call that reads more than both has read what an index would have left out
JUST_BEFORE, SOON = timedelta(minutes=30), timedelta(minutes=2)  # a rise is seen a little after it begins
_WORST = [Verdict.CRITICAL, Verdict.WARN, Verdict.OK]


def conclusion(
    clauses: list[Clause], name: str, load: pd.DataFrame | None, vcpus: int, change: str
) -> tuple[Verdict, str]:
    """Return the verdict and the sentence, the worst clause first, and at its end what changed just before."""
    clauses = sorted(clauses, key=lambda clause: _WORST.index(clause[0]))
    if clauses:
        return clauses[0][0], f"{name}: " + ended("; ".join(text for _, text in clauses)) + change
    calm = (
        f"{now_of(load['total']):.1f} active sessions on {vcpus} vCPUs, as usual"
        if load is not None
        else "load not seen"
    )
    return Verdict.OK, f"{name}: {calm}; connections, storage and replica show nothing."


def status_clauses(fact: Fact) -> list[Clause]:
    """Return what is to be said of instances that RDS does not call available."""
    if fact.frame is None:
        return []
    odd = [row for row in fact.frame.itertuples() if row.status not in _AT_WORK]
    said = [
        (Verdict.CRITICAL if row.status in _DOWN else Verdict.WARN, f"{row.instance} is {row.status}") for row in odd
    ]
    return said + [(Verdict.CRITICAL, f"{name} does not exist") for name in fact.frame.attrs["missing"]]


def load_clauses(facts: dict[str, Fact], rise: Surge | None, vcpus: int, window: Window) -> list[Clause]:
    """Return what is to be said of the load: how much, since when, what grew, in which statement."""
    load = facts["waits"].frame
    if load is None:
        return []
    now = now_of(load["total"])
    if rise is None and not (vcpus and now > vcpus):
        return []
    grown = growth(load, rise)
    more = float(grown["more"].clip(lower=0).sum()) or 1.0
    first = str(grown["group"].iloc[0])
    kinds = grown["group"].str.partition(":")[0]
    same = float(grown.loc[kinds == first.partition(":")[0], "more"].clip(lower=0).sum())
    on = f" on {vcpus} vCPUs" if vcpus else ""
    waits = "of them wait" if rise is None else f"of what came {'waits' if rise.until is None else 'waited'}"
    what = f"{min(same / more, 1):.0%} {waits} for {meaning(first)} ({first})"
    said = f"{_when(rise, now, on, window)}: {what}{_statement(facts['statements'])}"
    if rise is not None and rise.until is not None and not (vcpus and now > vcpus):
        return [(Verdict.WARN, said)]  # it is over
    locked = first.startswith("Lock") and same > 1
    critical = vcpus and (now > 2 * vcpus or (locked and now > vcpus))
    return [(Verdict.CRITICAL if critical else Verdict.WARN, said)]


def _when(rise: Surge | None, now: float, on: str, window: Window) -> str:
    """Return how many sessions are, or were, active since when, and how many usually are."""
    if rise is None:
        return f"{now:.1f} sessions are active{on}, all through the window"
    began = "before the window" if rise.before else local(rise.since, window)
    if rise.until is None:
        return f"{now:.1f} sessions are active{on} since {began}, usually {rise.usual:.1f}"
    ended_at = local(rise.until, window)
    return f"{rise.during:.1f} sessions were active{on} from {began} to {ended_at}, usually {rise.usual:.1f}, and are {now:.1f} now"


def _statement(fact: Fact) -> str:
    if fact.frame is None or not len(fact.frame):
        return ""
    first = fact.frame.iloc[0]
    said = f", most in “{shortened(' '.join(first['statement'].split()), 90)}”"
    blocks = first["hit_per_call"] + first["read_per_call"]
    if first["latency_ms"] == first["latency_ms"]:
        said += f", {seconds_text(first['latency_ms'])} a call"
    return said + (
        f", which reads {blocks:,.0f} blocks a call: is an index missing?"
        if blocks > max(BLOCKS, BLOCKS_A_ROW * first["rows_per_call"])
        else ""
    )


def connection_clauses(used: pd.Series[float], most: float, rise: Surge | None, window: Window) -> list[Clause]:
    """Return what is to be said when connections run out."""
    now = now_of(used)
    if most and not now >= 0.8 * most and used.max() >= 0.95 * most:
        return [
            (Verdict.WARN, f"{used.max():,.0f} of {most:,.0f} connections were taken at {local(used.idxmax(), window)}")
        ]
    if not most or not now >= 0.8 * most:
        return []
    since = f", more than usual since {local(rise.since, window)}" if rise and not rise.before else ""
    refused = "; new ones are refused" if now >= 0.95 * most else ""
    said = f"{now:,.0f} of {most:,.0f} connections are taken{since}{refused}"
    return [(Verdict.CRITICAL if now >= 0.95 * most else Verdict.WARN, said)]


def storage_clauses(left: Storage | None, size_gb: float) -> list[Clause]:
    """Return what is to be said when the storage runs out."""
    verdict = disk.storage_verdict(left, size_gb) if left else Verdict.OK
    return [(verdict, disk.storage_text(left, size_gb))] if left and verdict is not Verdict.OK else []


def lag_clauses(lag: pd.Series[float], rise: Surge | None, names: str, window: Window) -> list[Clause]:
    """Return what is to be said when what the replica shows is old."""
    now = now_of(lag, 3)
    verdict = disk.lag_verdict(now) if now == now else Verdict.OK
    if verdict is Verdict.OK:
        return []
    since = f" since {local(rise.since, window)}" if rise and not rise.before else ""
    return [(verdict, f"{names} is {took(now)} behind{since}: reads from it are old")]


def change_text(fact: Fact, rises: list[Surge | None], window: Window) -> str:
    """Return which deployment ended just before the first of what rose, as a sentence; empty when none did."""
    began = [rise.since for rise in rises if rise and not rise.before]
    if fact.frame is None or not began:
        return ""
    first = min(began)
    done = fact.frame[(fact.frame["finished"] <= first + SOON) & (fact.frame["finished"] >= first - JUST_BEFORE)]
    if not len(done):
        return ""
    last = done.sort_values("finished").iloc[-1]
    image = str(last["image"]).rpartition("/")[2]
    return f" Just before, at {local(last['finished'], window)}, {last['service']} was deployed ({image})."
