"""15 days of metrics at five minutes, the last 26 hours at one: sums over the logs where logs exist."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.rhythm import (
    DAY,
    HOUR,
    JAPAN,
    LOGS_START,
    METRICS_START,
    MINUTE,
    NOW_MS,
    Floats,
    Ints,
    generator,
    intensity,
    noise,
)
from opslib.sandbox.life.shop import SERVICES, Shop
from opslib.sandbox.life.store import QUANTILES, MetricKey, Series
from opslib.sandbox.life.traffic import Request

EDGE = 1 + 14  # requests that CloudFront answers for each that reaches the load balancer
LATENCY_PROFILE = np.array([0.32, 0.52, 0.66, 0.85, 1.12, 1.55, 2.05, 3.6, 6.4])
COARSE = np.arange(METRICS_START, LOGS_START, 5 * MINUTE, dtype=np.int64)
FINE = np.arange(LOGS_START, NOW_MS, MINUTE, dtype=np.int64)


def key(namespace: str, name: str, dimensions: dict[str, str]) -> MetricKey:
    """Return the key of a metric."""
    return namespace, name, tuple(sorted(dimensions.items()))


def dimensions(name: str, shop: Shop) -> dict[str, str]:
    """Return dimensions that shop.toml names."""
    return dict(shop.raw["dimensions"][name])


def series(
    unit: str, at_ms: Ints, count: Floats, total: Floats, low: Floats, high: Floats, quantiles: Any = None
) -> Series:
    """Return a series from columns; the time tells the period."""
    period = np.where(at_ms < LOGS_START, 300, 60).astype(np.int32)
    rounded = [np.round(part.astype(float), 6) for part in (count, total, low, high)]
    return Series(
        unit, at_ms // 1000, period, *rounded, None if quantiles is None else np.round(quantiles, 5).astype(np.float32)
    )


def summed(at_ms: Ints, values: Floats, period: int) -> tuple[Ints, Floats, Floats, Floats, Floats, Floats]:
    """Return (period start, count, sum, min, max, quantiles) of values that fell at these instants."""
    slot = at_ms // period
    order = np.lexsort((values, slot))
    slot, values = slot[order], values[order]
    starts, first, count = np.unique(slot, return_index=True, return_counts=True)
    last = first + count - 1
    where = first[:, None] + np.rint(np.array(QUANTILES)[None, :] * (count - 1)[:, None]).astype(np.int64)
    total = np.add.reduceat(values, first) if len(first) else np.zeros(0)
    return starts * period, count.astype(float), total, values[first], values[last], values[where]


def _requests(requests: Iterable[Request]) -> tuple[Ints, Floats, Ints]:
    rows = [(request.end, request.total, request.status) for request in requests if request.end < NOW_MS]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1] / 1000.0, table[:, 2]


def request_series(requests: Iterable[Request], shop: Shop) -> dict[MetricKey, Series]:
    """Return the metrics of the load balancer and the edge that follow from these requests, at one minute."""
    end, seconds, status = _requests(requests)
    found = {}
    at, count, total, low, high, quantiles = summed(end, seconds, MINUTE)
    one = np.ones(len(end))
    for where in ("alb", "target"):
        given = dimensions(where, shop)
        found[key("AWS/ApplicationELB", "RequestCount", given)] = series(
            "Count", at, count, count, count / count, count / count
        )
        found[key("AWS/ApplicationELB", "TargetResponseTime", given)] = series(
            "Seconds", at, count, total, low, high, quantiles
        )
        for family in (2, 4, 5):
            mask = status // 100 == family
            parts = summed(end[mask], one[mask], MINUTE)[:5]
            found[key("AWS/ApplicationELB", f"HTTPCode_Target_{family}XX_Count", given)] = series("Count", *parts)
    bad = [
        np.bincount(np.searchsorted(at, end[status // 100 == family] // MINUTE * MINUTE), minlength=len(at))
        for family in (4, 5)
    ]
    return found | edge_series(at, count, bad[0], bad[1], shop)


def edge_series(at: Ints, count: Floats, bad4: Any, bad5: Any, shop: Shop) -> dict[MetricKey, Series]:
    """Return CloudFront's metrics for requests that reached the load balancer."""
    found, given, total = {}, dimensions("cdn", shop), count * EDGE
    found[key("AWS/CloudFront", "Requests", given)] = series("None", at, total, total, total / total, total / total)
    for name, bad in (("4xxErrorRate", bad4), ("5xxErrorRate", bad5), ("TotalErrorRate", bad4 + bad5)):
        rate = 100.0 * bad / total
        found[key("AWS/CloudFront", name, given)] = series(
            "Percent", at, total, rate * total, rate * 0, np.where(bad, 100.0, 0.0)
        )
    return found


def _coarse_requests(per_load: float, shares: Floats, profile: Floats, shop: Shop) -> dict[MetricKey, Series]:
    """Return the same metrics for the days of which no logs are kept."""
    rng = generator("coarse requests")
    busy = intensity(COARSE, shop.raw["rhythm"]) * per_load * 5
    count = np.maximum(1.0, np.rint(busy + np.sqrt(busy) * noise(rng, len(COARSE))))
    of = {
        family: np.minimum(
            count, np.floor(count * shares[family] * (0.5 + rng.random(len(COARSE))) + rng.random(len(COARSE)))
        )
        for family in (4, 5)
    }
    of[2] = count - of[4] - of[5]
    pace = 1 + 0.08 * noise(rng, len(COARSE)) + 0.15 * (busy / busy.max() - 0.5)
    quantiles = profile[None, :] * np.maximum(0.6, pace)[:, None]
    mean = quantiles[:, 3] * 1.05 + quantiles[:, 5] * 0.2
    found = {}
    for where in ("alb", "target"):
        given = dimensions(where, shop)
        found[key("AWS/ApplicationELB", "RequestCount", given)] = series(
            "Count", COARSE, count, count, count / count, count / count
        )
        parts = (count, mean * count, quantiles[:, 0], quantiles[:, -1], quantiles)
        found[key("AWS/ApplicationELB", "TargetResponseTime", given)] = series("Seconds", COARSE, *parts)
        for family in (2, 4, 5):
            some = of[family] > 0
            n = of[family][some]
            found[key("AWS/ApplicationELB", f"HTTPCode_Target_{family}XX_Count", given)] = series(
                "Count", COARSE[some], n, n, n / n, n / n
            )
    return found | edge_series(COARSE, count, of[4], of[5], shop)


def joined(old: Series, new: Series) -> Series:
    """Return both series one after the other."""
    names = ("timestamps", "period", "count", "sum", "min", "max")
    parts = [np.concatenate([getattr(old, name), getattr(new, name)]) for name in names]
    both = None if new.quantiles is None or old.quantiles is None else np.concatenate([old.quantiles, new.quantiles])
    return Series(new.unit, *parts, both)


def job_series(runs: Iterable[JobRun], period: int) -> dict[MetricKey, Series]:
    """Return Shop/Jobs for runs that ended: one sample a run, 1 where it failed."""
    ended = [run for run in runs if run.status in ("succeeded", "failed")]
    groups: dict[str, list[JobRun]] = {"": ended}
    for run in ended:
        groups.setdefault(run.job, []).append(run)
    found = {}
    for name, given in groups.items():
        where = {"JobName": name} if name else {}
        at = np.array([run.finished for run in given], dtype=np.int64)
        failed = np.array([float(run.status == "failed") for run in given])
        seconds = np.array([(run.finished - run.started) / 1000 for run in given])
        found[key("Shop/Jobs", "JobsFailed", where)] = series("Count", *summed(at, failed, period)[:5])
        found[key("Shop/Jobs", "JobDuration", where)] = series("Seconds", *summed(at, seconds, period))
    return found


def _load(per_minute: Floats, per_load: float, shop: Shop) -> Floats:
    """Return the load at all instants: of the rhythm, and in the last hours of the requests that came as well."""
    calm = intensity(np.concatenate([COARSE, FINE]), shop.raw["rhythm"]) / 100.0
    calm[len(COARSE) :] = 0.75 * calm[len(COARSE) :] + 0.25 * per_minute / per_load / 100.0
    return calm


def _gauge(given: list[Any], load: Floats, shop: Shop) -> tuple[MetricKey, Series]:
    namespace, name, where, unit, base, slope, dev, spread, options = given
    at = np.concatenate([COARSE, FINE])
    rng = generator(f"gauge {namespace} {name} {where}")
    samples = np.where(at < LOGS_START, 5.0, 1.0)
    value = base + slope * load + dev * noise(rng, len(at))
    if "shrinks" in options:
        value = value - (at - NOW_MS) / DAY * 1.1e9
    value = np.maximum(value, 0.0)
    if "counter" in options:
        total = np.rint(value * samples)
        return key(namespace, name, dimensions(where, shop)), series(
            unit, at, samples, total, total / samples, total / samples
        )
    value = np.rint(value) if "whole" in options else value
    quantiles = value[:, None] * LATENCY_PROFILE[None, :] if "latency" in options else None
    low, high = (
        (quantiles[:, 0], quantiles[:, -1])
        if quantiles is not None
        else (np.maximum(0, value - spread), value + spread)
    )
    high = np.minimum(high, 100.0) if unit == "Percent" else high
    return key(namespace, name, dimensions(where, shop)), series(
        unit, at, samples, value * samples, low, high, quantiles
    )


def _ecs(load: Floats, shop: Shop) -> dict[MetricKey, Series]:
    at = np.concatenate([COARSE, FINE])
    hour = (at + JAPAN) % DAY / HOUR
    found = {}
    for service in SERVICES:
        about, rng = shop.raw["services"][service], generator(f"ecs {service}")
        where = {"ClusterName": "shop", "ServiceName": service}
        more = np.where((hour >= 19.5) & (hour < 23.5) & (service in ("api", "web")), 2.0, 0.0)
        tasks = about["tasks"] + more
        cpu = about["cpu"] * (0.25 + 0.75 * load) * about["tasks"] / tasks + 1.5 * noise(rng, len(at))
        memory = about["memory"] * (0.94 + 0.06 * load) + 0.4 * noise(rng, len(at))
        samples = np.where(at < LOGS_START, 5.0, 1.0) * tasks
        for name, value, spread in (("CPUUtilization", cpu, 6.0), ("MemoryUtilization", memory, 1.5)):
            value = np.maximum(value, 0.5)
            parts = (samples, value * samples, np.maximum(0.2, value - spread), value + spread)
            found[key("AWS/ECS", name, where)] = series("Percent", at, *parts)
        once, none = samples / tasks, tasks * 0
        counts = {"RunningTaskCount": tasks, "DesiredTaskCount": tasks, "PendingTaskCount": none, "RestartCount": none}
        for name, value in (counts | {"DeploymentCount": none + 1}).items():
            found[key("ECS/ContainerInsights", name, where)] = series("Count", at, once, value * once, value, value)
    return found


def base(requests: list[Request], runs: list[JobRun], shop: Shop) -> dict[MetricKey, Series]:
    """Return all metrics of the base life."""
    end, seconds, status = _requests(requests)
    per_minute = np.bincount((end - LOGS_START) // MINUTE, minlength=len(FINE)).astype(float)
    per_load = len(end) / float(intensity(FINE, shop.raw["rhythm"]).sum())
    shares = np.array([float((status // 100 == family).mean()) for family in range(6)])
    profile = np.median(summed(end, seconds, 5 * MINUTE)[5], axis=0)
    old, found = _coarse_requests(per_load, shares, profile, shop), {}
    for name, new in request_series(requests, shop).items():
        found[name] = joined(old[name], new)
    before = [run for run in runs if METRICS_START <= run.finished < LOGS_START]
    jobs_before = job_series(before, 5 * MINUTE)
    for name, new in job_series([run for run in runs if run.finished >= LOGS_START], MINUTE).items():
        found[name] = joined(jobs_before[name], new) if name in jobs_before else new
    for name, older in jobs_before.items():
        found.setdefault(name, older)
    load = _load(per_minute, per_load, shop)
    found |= dict(_gauge(given, load, shop) for given in shop.raw["gauges"]["list"])
    return found | _ecs(load, shop)
