"""Which numbers before the application are off, since when: against the same minutes of last week. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

SMOOTH, SHORTEST, PAUSE = 10, 5, 4  # minutes: of the mean, of what counts, of what does not interrupt it


@dataclass(frozen=True)
class Signal:
    """A metric that speaks against a suspect: off beyond usual ± max(margin, share x usual), critical from a value on."""

    suspect: str
    component: str
    metric: str
    bad: str
    margin: float
    share: float
    critical: float | None
    unit: str
    words: str

    def beyond(self, value: Any, usual: Any) -> Any:
        """Tell whether a value is off; NaN is not."""
        room = (self.share * usual).clip(lower=self.margin)
        return value > usual + room if self.bad == "high" else value < usual - room


@dataclass(frozen=True)
class Finding:
    """A signal that is off: since when, until when (None: still), how much, usually how much."""

    signal: Signal
    since: pd.Timestamp
    until: pd.Timestamp | None
    now: float
    usual: float

    @property
    def critical(self) -> bool:
        """Tell whether it is so far off that somebody must act."""
        limit = self.signal.critical
        return limit is not None and (self.now >= limit if self.signal.bad == "high" else self.now <= limit)


SIGNALS = (
    Signal("dns", "dns", "HealthCheckPercentageHealthy", "low", 20, 0, 50, "%", "checkers that reach the site"),
    Signal("dns", "cdn", "Requests", "low", 20, 0.6, None, "a minute", "requests at the edge"),
    Signal("edge", "cdn", "CacheHitRate", "low", 10, 0, 60, "%", "cache hit rate"),
    Signal("edge", "cdn", "5xxErrorRate", "high", 1.5, 1, 5, "%", "5xx at the edge"),
    Signal("", "cdn", "4xxErrorRate", "high", 1, 2, None, "%", "4xx at the edge"),
    Signal("build", "frontend", "4XXErrors", "high", 10, 2, None, "a minute", "4xx of Amplify"),
    Signal("build", "frontend", "5XXErrors", "high", 3, 2, 30, "a minute", "5xx of Amplify"),
    Signal("build", "frontend", "Latency p90", "high", 0.2, 0.6, 3, "s", "time to first byte of Amplify, p90"),
    Signal("origin", "load-balancer", "5XX share", "high", 1.5, 2, 1.5, "%", "5xx behind the load balancer"),
    Signal("origin", "load-balancer", "TargetResponseTime p90", "high", 0.15, 0.6, 2, "s", "response time of the origin, p90"),
    Signal("origin", "cdn", "OriginLatency p90", "high", 60, 0.4, 4000, "ms", "latency of the origin as the edge sees it, p90"),
)  # fmt: skip


def per_minute(frame: pd.DataFrame, *, seconds: float) -> pd.DataFrame:
    """Return the frame with what is counted as a number a minute, whatever its step."""
    counted = [(one.component, one.metric) for one in SIGNALS if one.unit == "a minute"]
    columns = [name for name in counted if name in frame.columns]
    scaled = frame.copy()
    scaled[columns] = frame[columns] * (60.0 / seconds)
    scaled.attrs = frame.attrs
    return scaled


def findings(series: pd.DataFrame, usual: pd.DataFrame, *, window: Window) -> list[Finding]:
    """Return what is off within the window, by the order of SIGNALS; `usual` is the same minutes of last week.

    Both have times at one step as index and (component, metric) as columns. What has no last week is compared with its
    own time before the window.
    """
    step = (series.index[1] - series.index[0]).total_seconds() / 60 if len(series) > 1 else 1.0
    found = []
    for signal in SIGNALS:
        name = (signal.component, signal.metric)
        if name in series.columns and (
            off := _off(signal, series[name], _usual(series, usual, name, window, step), window, step)
        ):
            found.append(off)
    return found


def _usual(series: pd.DataFrame, usual: pd.DataFrame, name: tuple[str, str], window: Window, step: float) -> Any:
    """Return what is usual at each instant: a smooth curve."""
    points = max(1, round(3 * SMOOTH / step))
    if name in usual.columns and usual[name].notna().sum() > points:
        known = usual[name].reindex(series.index)
        return known.rolling(points, min_periods=1, center=True).mean().ffill().bfill()
    before = series.loc[series.index < window.start, name]
    level = before.median() if before.notna().any() else series[name].median()
    return series[name] * 0 + level


def _off(signal: Signal, raw: Any, usual: Any, window: Window, step: float) -> Finding | None:
    points, pause = max(1, round(SMOOTH / step)), max(PAUSE, 1.5 * step) * 60
    smooth = raw.rolling(points, min_periods=max(1, points // 3)).mean()
    times = raw.index[(signal.beyond(smooth, usual)).to_numpy() & (raw.index < window.end)]
    stretch = _last_stretch(times, pause)
    if len(stretch) < max(3, SHORTEST / step) or stretch[-1] < window.start:
        return None
    first = raw.index[max(0, raw.index.get_loc(stretch[0]) - points + 1)]
    early = raw[first : stretch[0]]
    alone = early[signal.beyond(early, usual[first : stretch[0]])]
    since = alone.index[0] if len(alone) else stretch[0]
    last = raw.index[raw.index < window.end][-1]
    until = None if (last - stretch[-1]).total_seconds() <= pause else stretch[-1]
    during = slice(since, until)
    return Finding(signal, since, until, float(raw[during].mean()), float(usual[during].mean()))


def _last_stretch(times: Any, pause: float) -> Any:
    """Return the last run of instants that is not interrupted for long."""
    first = len(times) - 1
    while first > 0 and (times[first] - times[first - 1]).total_seconds() <= pause:
        first -= 1
    return times[max(first, 0) :]
