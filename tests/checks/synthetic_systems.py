"""Made-up systems for the ranking: random call graphs, noise, season, gaps and units, and one planted fault each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FAULTS = ("shift", "spike", "ramp", "dropout", "delay")
UNITS = (1e-3, 1.0, 60.0, 1e4, 1e9)


@dataclass(frozen=True)
class System:
    """One drawn system: its series, its windows, who calls whom, and the truth."""

    series: pd.DataFrame
    incident: tuple[pd.Timestamp, pd.Timestamp]
    baseline: tuple[pd.Timestamp, pd.Timestamp]
    calls: dict[str, tuple[str, ...]]
    fault: str
    cause: str


def draw(seed: int, *, fault: str = "", lag: int = 0) -> System:
    """Draw a system from a seed; a fault of "none" plants nothing; each call away feels it `lag` steps later."""
    rng = np.random.default_rng(seed)
    fault = fault or FAULTS[int(rng.integers(len(FAULTS)))]
    count = int(rng.integers(5, 13))
    names = [f"c{number:02d}" for number in range(count)]
    rng.shuffle(names)
    calls = _graph(rng, names)
    minutes = int(rng.choice([1, 5]))
    step = pd.Timedelta(minutes=minutes)
    points = int(rng.integers(24, 60)) if minutes == 1 else int(rng.integers(9, 20))
    days = int(rng.choice([0, 0, 2]))  # two days of history, or only the hours before
    before = 4 * points + days * (1440 // minutes)
    index = pd.date_range("2026-03-02T01:00Z", periods=before + points, freq=step)
    start = index[before]
    cause = names[int(rng.integers(1, count))]
    reach = _callers(calls, cause) if fault != "none" else {}
    onset = before + int(rng.integers(0, max(1, points // 4)))
    columns = {}
    for name in names:
        hop = reach.get(name)
        for metric in ("latency", "errors", "cpu", "requests")[: int(rng.integers(2, 5))]:
            values = _normal(rng, metric, index)
            if hop is not None and fault != "none":
                values = _struck(rng, values, metric, fault, hop, onset + lag * hop)
            columns[name, metric] = values
    series = pd.DataFrame(columns, index=index)
    series = series.mask(rng.random(series.shape) < rng.choice([0.0, 0.05, 0.15]))
    baseline = (index[0], start) if days else (index[before - 4 * points], start)
    return System(series, (start, index[-1] + step), baseline, calls, fault, cause)


def _graph(rng: np.random.Generator, names: list[str]) -> dict[str, tuple[str, ...]]:
    """Return a random acyclic graph in which everything is reached from the first."""
    calls: dict[str, set[str]] = {name: set() for name in names}
    for place, name in enumerate(names[1:], start=1):
        calls[names[int(rng.integers(0, place))]].add(name)
        if place > 1 and rng.random() < 0.3:
            calls[names[int(rng.integers(0, place))]].add(name)
    return {name: tuple(sorted(below)) for name, below in calls.items() if below}


def _callers(calls: dict[str, tuple[str, ...]], cause: str) -> dict[str, int]:
    """Return how many calls away each component is that feels the cause; the cause itself is 0."""
    reach, waiting = {cause: 0}, [cause]
    while waiting:
        name = waiting.pop(0)
        for caller, below in calls.items():
            if name in below and caller not in reach:
                reach[caller] = reach[name] + 1
                waiting.append(caller)
    return reach


def _normal(rng: np.random.Generator, metric: str, index: pd.DatetimeIndex) -> np.ndarray:
    unit = float(rng.choice(UNITS))
    hour = (index.hour + index.minute / 60).to_numpy()
    season = 1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * (hour - rng.uniform(0, 24)) / 24)
    size = len(index)
    if metric == "errors":
        return rng.poisson(rng.choice([0.02, 0.3, 2.0]), size).astype(float)
    if metric == "requests":
        return rng.poisson(rng.uniform(30, 300) * season).astype(float)
    if metric == "latency":
        return unit * season * np.exp(rng.normal(0, rng.uniform(0.03, 0.2), size))
    if rng.random() < 0.15:
        return np.cumsum(unit * season * rng.uniform(0.8, 1.2, size))  # a counter
    return unit * season * (1 + rng.normal(0, rng.uniform(0.01, 0.08), size))


def _struck(rng: np.random.Generator, values: np.ndarray, metric: str, fault: str, hop: int, onset: int) -> np.ndarray:
    """Return the series with the fault in it: louder at the callers as often as not, and never earlier."""
    start = min(onset + int(rng.integers(0, 2)) * hop, len(values) - 3)
    rest = len(values) - start
    shape = np.ones(rest)
    if fault == "spike":
        shape[min(rest, max(3, rest // 5)) :] = 0
    if fault == "ramp":
        shape = np.linspace(0.1, 1, rest)
    strength = rng.uniform(1.0, 3.0) * rng.uniform(0.5, 1.8) ** min(hop, 2)
    new = values.copy()
    rising = bool((np.diff(values) >= 0).all())
    if fault == "dropout" and hop == 0 and metric == "requests":
        new[start:] = 0
    elif metric == "errors" and fault != "delay":
        new[start:] += rng.poisson(12 * strength * shape)
    elif metric == "latency":
        new[start:] *= 1 + strength * shape
    elif metric == "cpu" and hop == 0 and fault in ("shift", "ramp", "spike") and not rising:
        new[start:] *= 1 + 0.6 * strength * shape
    return new
