"""A database that is slow: what its sessions wait for, in which statement, since when; connections, storage, replica."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.charts.timeseries import Marker
from opslib.checks import database_disk as disk
from opslib.checks import database_parts as parts
from opslib.checks import database_verdict as said
from opslib.checks.database_story import Surge, growth, in_season, now_of, storage, surge
from opslib.checks.wording import took
from opslib.errors import ParameterError
from opslib.result import Next, Result, Sight, Verdict
from opslib.run import Fact, Run
from opslib.sources import ecs, metrics, rds
from opslib.sources import performance_insights as pi
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME, NOTEBOOK, RESTART = "slow-database", "2-investigate/slow-database", "3-remediate/restart-service"
READS = "3-remediate/route-reads-to-replica"
COUNTERS = (
    "db.User.max_connections.avg", "db.state.idle_in_transaction_count.avg", "db.state.idle_in_transaction_max_time.avg",
)  # fmt: skip


def slow(run: Run, *, instance: str = "") -> Result:
    """Say what the database is busy with and what it lacks, over the window (3 hours by default).

    `instance` empty means the primary; ParameterError for one that does not exist. Parts: waits, statements, who, changes, connections, storage, replica. Critical:
    sessions queue at twice the CPUs or for locks, connections or storage run out, the replica is a minute behind.
    """
    window = run.window_or("3h")
    facts = _asked(run, window, instance)
    load = facts["waits"].frame
    rise = None if load is None else surge(load.set_index("time")["total"], least=0.5)
    _known(instance, facts["instances"])
    side = "replica" if instance in _replicas(run, facts["instances"]) else "database"
    if rise is not None and in_season(rise, _metric(facts["last_week"], side, "DBLoad")):
        rise = None
    facts |= _statements(run, window, instance, rise, facts["waits"])
    return run.record(_told(run, window, instance, facts, rise))


def _asked(run: Run, window: Window, instance: str) -> dict[str, Fact]:
    env = run.environment
    load = partial(pi.load, env, window=window, instance=instance)
    return run.facts(
        deadline_s=2 * run.deadline,  # several ask twice, one after another
        waits=partial(load, by="wait_event"), users=partial(load, by="user"), hosts=partial(load, by="host"),
        counters=partial(pi.counters, env, window=window, names=COUNTERS, instance=instance),
        instances=partial(rds.instances, env), events=partial(rds.events, env, window=window),
        deployments=partial(ecs.deployments, env, window=window),
        metrics=partial(metrics.series, env, window=window, components=("database", "replica")),
        last_week=partial(metrics.baseline, env, window=window, components=("database", "replica")),
    )  # fmt: skip


def _statements(run: Run, window: Window, instance: str, rise: Surge | None, waits: Fact) -> dict[str, Fact]:
    """Ask for the statements since the load rose, and for those before it did; what hangs is not asked again."""
    if waits.sight == "error":
        return {"statements": Fact("statements", error=waits.error)}
    env, zone = run.environment, window.zone
    if rise is None or rise.before or rise.since.to_pydatetime() - window.start < timedelta(minutes=5):
        return run.facts(deadline_s=2 * run.deadline, statements=partial(pi.top_sql, env, window=window, instance=instance))  # fmt: skip
    since = rise.since.to_pydatetime()
    until = window.end if rise.until is None else rise.until.to_pydatetime()
    return run.facts(
        deadline_s=2 * run.deadline,
        statements=partial(pi.top_sql, env, window=Window(since, until, zone), instance=instance),
        statements_before=partial(pi.top_sql, env, window=Window(window.start, since, zone), instance=instance, top=25),
    )


def _told(run: Run, window: Window, instance: str, facts: dict[str, Fact], rise: Surge | None) -> Result:
    load = facts["waits"].frame
    name = instance or _primary(run, facts)
    about, replicas = _about(facts["instances"], name), _replicas(run, facts["instances"])
    vcpus = int(load.attrs["vcpus"] if load is not None and load.attrs["vcpus"] else about.get("vcpus", 0))
    side = "replica" if name in replicas else "database"
    used, free, lag = (
        _metric(facts["metrics"], *column)
        for column in ((side, "DatabaseConnections"), (side, "FreeStorageSpace"), ("replica", "ReplicaLag"))
    )
    most = _last(facts["counters"], COUNTERS[0])
    left, late, crowd = storage(free), surge(lag, least=5.0), surge(used, least=20.0)
    size_gb = disk.size_of(facts["instances"], name)
    clauses = [
        *said.status_clauses(facts["instances"]), *said.load_clauses(facts, rise, vcpus, window), *said.connection_clauses(used, most, crowd, window),
        *said.storage_clauses(left, size_gb), *said.lag_clauses(lag, late, "it" if name in replicas else ", ".join(replicas), window),
    ]  # fmt: skip
    change = said.change_text(facts["deployments"], [rise, crowd, late], window)
    verdict, sentence = said.conclusion(clauses, name, load, vcpus, change)
    reasons = _reasons(facts)
    seen = load is not None or facts["metrics"].frame is not None
    if not seen:
        verdict, sentence = Verdict.UNKNOWN, f"{name} could not be seen."
    shown = {
        "active sessions": f"{now_of(load['total']):.1f}" if load is not None else "–", "vCPUs": str(vcpus or "–"),
        "usually": f"{rise.usual:.1f}" if rise else "–", "connections": f"{now_of(used):,.0f} of {most:,.0f}" if most else f"{now_of(used):,.0f}",
        "free storage": f"{left.free / parts.GB:,.0f} GB" if left else "–", "replica behind": took(now_of(lag, 3)),
    }  # fmt: skip
    markers = _markers(facts["deployments"], window)
    every = (
        parts.waits(run, facts["waits"], rise, window, vcpus, markers),
        parts.statements(run, facts["statements"], facts.get("statements_before"), window),
        parts.who(run, facts, rise, window), parts.changes(run, facts, rise, window),
        parts.connections(run, used, most, facts["metrics"], window),
        disk.storage(run, free, left, facts, name, window),
        disk.replica(run, replicas, lag, late, facts["metrics"], window),
    )  # fmt: skip
    sight = Sight.COMPLETE if not reasons else Sight.PARTIAL if seen else Sight(facts["waits"].sight)
    crowded = bool(most) and now_of(used) > 0.95 * most
    reading = side == "database" and verdict is not Verdict.OK and rise is not None and rise.until is None
    steps = _next(
        run, facts, rise, crowded=crowded, reading=reading, late=side == "database" and now_of(lag, 3) > disk.LATE
    )
    return Result(NAME, f"Database {name}", verdict, sentence, sight, "; ".join(reasons), shown,
                  sources=parts.insights(run, window, "db.load.avg"), next=steps,
                  data=tuple(f"data/{name}.csv" for name in ("waits", "statements", "metrics") if run.folder), parts=every)  # fmt: skip


def _known(instance: str, instances: Fact) -> None:
    """Raise ParameterError for an instance that RDS, which has answered, does not have."""
    names = [] if instances.frame is None else list(instances.frame["instance"])
    if instance and names and instance not in names:
        raise ParameterError(f"there is no instance {instance!r}", why=f"there are {', '.join(names)}", fix="choose one of these, or leave it empty for the primary")  # fmt: skip


def _primary(run: Run, facts: dict[str, Fact]) -> str:
    """Return the primary's name by what was answered: a replay has no configuration of the database."""
    load, frame = facts["waits"].frame, facts["instances"].frame
    if load is not None:
        return str(load.attrs["instance"])
    if frame is not None and len(frame):
        return str(frame["instance"].iloc[0])
    return run.environment.database.instance if run.environment.database else ""


def _replicas(run: Run, instances: Fact) -> tuple[str, ...]:
    if instances.frame is not None:
        return tuple(instances.frame.loc[instances.frame["role"] == "replica", "instance"])
    return run.environment.database.replicas if run.environment.database else ()


def _about(fact: Fact, name: str) -> dict[str, Any]:
    """Return what RDS says of the instance."""
    rows = [] if fact.frame is None else fact.frame[fact.frame["instance"] == name].to_dict("records")
    return dict(rows[0]) if rows else {}


def _metric(fact: Fact, component: str, metric: str) -> pd.Series[float]:
    """Return a metric over time, empty when there is none."""
    import pandas as pd

    if fact.frame is None or (component, metric) not in fact.frame.columns:
        return pd.Series(dtype="float64", index=pd.DatetimeIndex([], tz="UTC"))
    return fact.frame[component, metric]


def _last(fact: Fact, name: str) -> float:
    """Return the last known value of a counter, 0 when there is none."""
    known = [] if fact.frame is None or name not in fact.frame else list(fact.frame[name].dropna())
    return float(known[-1]) if known else 0.0


def _reasons(facts: dict[str, Fact]) -> list[str]:
    """Return what could not be seen, each with its reason, each once."""
    failed = [f"{name}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    partly = [
        said for fact in facts.values() if fact.frame is not None for said in fact.frame.attrs.get("problems", [])
    ]
    return list(dict.fromkeys(failed + partly))


def _markers(fact: Fact, window: Window) -> list[Marker]:
    """Return the deployments of the window as marks on the chart."""
    rows = [] if fact.frame is None else [row for row in fact.frame.itertuples() if row.finished == row.finished]
    return [
        Marker(row.finished.to_pydatetime(), f"deploy {row.service}") for row in rows if row.finished >= window.start
    ]


def _next(
    run: Run, facts: dict[str, Fact], rise: Surge | None, *, crowded: bool, late: bool, reading: bool
) -> tuple[Next, ...]:
    """Return what may help: a service that holds locks or all connections lets them go when it is restarted."""
    replicas = _replicas(run, facts["instances"])
    look = (
        (Next(NOTEBOOK, {"instance": replicas[0]}, "what keeps the replica busy"), Next(READS, {"to": "primary"}, "if reads go to the replica: put them back while it is behind"))
        if late and replicas else ()
    )  # fmt: skip
    waits, users = facts["waits"].frame, facts["users"].frame
    locked = waits is not None and any(waits[name].iloc[-1] > 1 for name in waits.columns if name.startswith("Lock:"))
    if users is None or not (locked or crowded):
        relief = (
            (Next(READS, {"to": "replica"}, "reads elsewhere give the primary room"),) if reading and replicas else ()
        )
        return (*look, *(relief if not late else ()))
    user = str(growth(users, rise)["group"].iloc[0])
    service = next((name for name in run.environment.services.names if name in re.split(r"[^a-z0-9]+", user)), "")
    what = "its sessions wait for locks that others of it hold" if locked else "its sessions came with the rise"
    why = f"{what} (user {user}); a restart ends its transactions"
    return (*look, Next(RESTART, {"service": service}, why)) if service else look
