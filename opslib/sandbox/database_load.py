"""What the sessions of a database were doing at each moment: CloudWatch's DBLoad, split by wait event, SQL, user and host.

The split of an ordinary day is data (database_load.toml); incidents add sessions of their own by events "pi_load".
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from opslib.sandbox.metrics_reading import metric_key
from opslib.sandbox.metrics_store import MetricsStore

DATABASE = "shop"
SLOT = 600  # seconds in which the mix stays the same
CPU = "CPU"


@dataclass(frozen=True)
class Session:
    """One kind of session: what it runs, as whom, from where, and what it waits for."""

    statement: str
    user: str
    host: str
    wait: str
    latency_ms: float
    rows: float
    blocks: float
    weight: float = 0.0
    since: int = 0  # of an incident: from this second on
    until: int = 0
    ramp: int = 0
    aas: float = 0.0
    replaces: bool = False  # the same statement is no longer what it was before

    @property
    def sql_id(self) -> str:
        """Return the id that Performance Insights would give the tokenized statement."""
        return hashlib.sha1(self.statement.encode()).hexdigest().upper()


@dataclass
class Load:
    """Average active sessions: a row a period, a column a kind of session; `weights` are samples a row."""

    at: Any
    weights: Any
    sessions: list[Session]
    values: Any = field(default_factory=lambda: np.zeros((0, 0)))


@cache
def _mix() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@cache
def ordinary(instance: str) -> list[Session]:
    """Return the kinds of sessions of an ordinary day."""
    found = []
    for about in _mix()["statements"]:
        share = about["share"].get(instance, 0)
        waits = {CPU: about["cpu"]} | {name: part * (1 - about["cpu"]) for name, part in about["waits"].items()}
        hosts = _mix()["hosts"][about["user"]]
        for wait, part in waits.items() if share else ():
            for place, host in enumerate(hosts):
                weight = share * part * (1 + 0.15 * (place % 3)) / len(hosts)
                what = (about["text"].strip(), about["user"], host, wait)
                found.append(Session(*what, about["latency_ms"], about["rows"], about["blocks"], weight))
    return found


def added(instance: str, events: Mapping[str, list[dict[str, Any]]]) -> list[Session]:
    """Return the kinds of sessions that incidents add."""
    found = []
    for event in events.get("pi_load", ()):
        if event.get("instance", "shop-db") != instance:
            continue
        hosts = event.get("hosts") or _mix()["hosts"][event["user"]]
        times = [
            round(datetime.fromisoformat(event[name]).timestamp()) if name in event else 0 for name in ("at", "end")
        ]
        for host in hosts:
            about = (event.get("latency_ms", 0.0), event.get("rows", 0.0), event.get("blocks", 0.0))
            sessions = Session(event["statement"], event["user"], host, event["wait"], *about, 0.0, *times)
            found.append(
                _with(
                    sessions,
                    ramp=event.get("ramp", 300),
                    aas=event["aas"] / len(hosts),
                    replaces=event.get("replaces", False),
                )
            )
    return found


def _with(session: Session, **changes: Any) -> Session:
    return Session(**{**session.__dict__, **changes})


def load(store: MetricsStore, events: Mapping[str, list[dict[str, Any]]], instance: str, start: int, end: int) -> Load:
    """Return the load of [start, end) as finely as CloudWatch keeps it; every row sums up to DBLoad where there is one."""
    rows, on_cpu = (_means(store, name, instance, start, end) for name in ("DBLoad", "DBLoadCPU"))
    at = np.array(sorted(rows), dtype=np.int64)
    weights = np.array([rows[second][0] for second in at.tolist()])
    whole = np.array([rows[second][1] for second in at.tolist()])
    cpu = np.array([on_cpu.get(second, (1.0, rows[second][1] * 0.7))[1] for second in at.tolist()])
    calm, extra = ordinary(instance), added(instance, events)
    incident = _incident(extra, at)
    incident *= np.minimum(1.0, whole / np.maximum(incident.sum(axis=1), 1e-9))[:, None]  # never more than all
    left = np.maximum(whole - incident.sum(axis=1), 0.0)
    cpu_extra = incident[:, [session.wait == CPU for session in extra]].sum(axis=1) if extra else 0.0
    left_cpu = np.clip(cpu - cpu_extra, 0.15 * left, 0.85 * left)
    return Load(
        at, weights, [*calm, *extra], np.hstack([_ordinary(calm, extra, at, left_cpu, left - left_cpu), incident])
    )


def _means(store: MetricsStore, name: str, instance: str, start: int, end: int) -> dict[int, tuple[float, float]]:
    """Return (samples, average) of a metric by time."""
    series = store.get(metric_key("AWS/RDS", name, [{"Name": "DBInstanceIdentifier", "Value": instance}]))
    if series is None:
        return {}
    with store.lock:
        return {
            each.timestamp: (each.count, each.sum / each.count)
            for each in series.buckets(start, end, 60, 0)
            if each.count
        }


def _ordinary(sessions: list[Session], extra: list[Session], at: Any, on_cpu: Any, waiting: Any) -> Any:
    """Split the ordinary load: the mix wanders a little every ten minutes, seeded by what it is and when."""
    weights = np.array([session.weight for session in sessions]) * _wander(sessions, at)
    for gone in {session.statement: session for session in extra if session.replaces}.values():
        mine = [session.statement == gone.statement for session in sessions]
        weights[:, mine] *= (at < gone.since)[:, None]
    cpu = np.array([session.wait == CPU for session in sessions])
    values = np.zeros_like(weights)
    for mask, part in ((cpu, on_cpu), (~cpu, waiting)):
        chosen = weights[:, mask]
        values[:, mask] = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-12) * part[:, None]
    return values


def _wander(sessions: list[Session], at: Any) -> Any:
    seeds = np.array(
        [int(hashlib.md5(f"{s.statement}{s.wait}{s.host}".encode()).hexdigest()[:6], 16) for s in sessions]
    )
    mixed = (seeds[None, :] * 40503 + (at[:, None] // SLOT) * 2654435761) % 1_000_003
    mixed = (mixed * 48271 + 11) % 1_000_003
    return 0.75 + 0.5 * mixed / 1_000_003


def _incident(sessions: list[Session], at: Any) -> Any:
    columns = [
        np.where((s.until == 0) | (at < s.until), s.aas * np.clip((at - s.since) / max(s.ramp, 1), 0, 1), 0.0)
        for s in sessions
    ]
    return np.array(columns).T if columns else np.zeros((len(at), 0))


def binned(found: Load, start: int, period: int) -> tuple[Any, Any]:
    """Return the start of each period that has data, and its average load: a row a period, a column a session."""
    if not len(found.at):
        return np.zeros(0, dtype=np.int64), np.zeros((0, len(found.sessions)))
    if period < 60:  # a minute's value stands for each of its seconds
        times = np.arange(found.at[0], found.at[-1] + 60, period)
        rows = np.searchsorted(found.at, times, side="right") - 1
        return times, found.values[rows]
    slots = (found.at - start) // period
    firsts = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
    weights = found.weights[:, None]
    sums = np.add.reduceat(found.values * weights, firsts, axis=0)
    return start + slots[firsts] * period, sums / np.add.reduceat(weights, firsts, axis=0)
