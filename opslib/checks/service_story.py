"""What is the matter with each service: a judgement over facts, no I/O."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, local

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

DOWN, MEMORY, DYING, HANGS, OFF = "down", "out of memory", "tasks do not live", "deployment hangs", "switched off"
BACK, SHORT, FULL, BUSY = "rolled back", "short of tasks", "memory nearly full", "CPU busy"
DEPLOYING, USUAL = "being deployed", "as usual"
CRITICAL, WARN, OK = "critical", "warn", "ok"
ENDED_BADLY = ("EssentialContainerExited", "TaskFailedToStart")
UNFINISHED = timedelta(minutes=15)  # an ordinary deployment has ended by then
FULL_FROM, BUSY_FROM = 92.0, 90.0  # percent, the mean of the last ten minutes
LATEST = 10


def ended_badly(stopped: pd.DataFrame) -> Any:
    """Return which tasks stopped because of themselves, as a boolean Series: not by deployment, scaling or a person."""
    return stopped["stop_code"].isin(ENDED_BADLY) | stopped["reason"].str.contains("health check", case=False)


def memory_killed(stopped: pd.DataFrame) -> Any:
    """Return which tasks were killed because they used more memory than they have."""
    return stopped["reason"].str.contains("OutOfMemory", case=False)


def went_back(deployments: pd.DataFrame) -> Any:
    """Return which deployments did not stay: failed, or rolled back."""
    return deployments["status"].str.startswith(("ROLLBACK", "FAILED"))


def read(
    services: pd.DataFrame, stopped: pd.DataFrame, deployments: pd.DataFrame, load: pd.DataFrame | None,
    *, window: Window, now: Any, said: dict[str, str],
) -> pd.DataFrame:  # fmt: skip
    """Return a row for each service, the worst first: service, state, verdict, why, and the facts it rests on.

    `said` is the commonest last words of failed tasks by service, `load` the frame of `metrics.series` or None.
    Columns: those of ecs.services, and state, verdict, why str; ended_badly, killed int64; memory, cpu float64 (percent,
    the mean of the last ten minutes, NaN where unknown).
    """
    import pandas as pd

    rows = []
    for _, service in services.iterrows():
        mine = stopped[stopped["service"] == service["service"]]
        bad = mine[ended_badly(mine)]
        row = service.to_dict() | {
            "ended_badly": len(bad), "killed": int(memory_killed(bad).sum()),
            "memory": _latest(load, service["service"], "MemoryUtilization"), "cpu": _latest(load, service["service"], "CPUUtilization"),
            "undone": bool(went_back(deployments[deployments["service"] == service["service"]]).any()),
        }  # fmt: skip
        state, verdict = _state(row, now - service["since"] if service["since"] == service["since"] else timedelta())
        rows.append(row | {"state": state, "verdict": verdict, "why": _why(row, state, bad, window, said)})
    found = pd.DataFrame(rows)
    if len(found):
        order = found["verdict"].map({CRITICAL: 0, WARN: 1, OK: 2})
        found = found.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    return found


def _latest(load: pd.DataFrame | None, service: str, metric: str) -> float:
    if load is None or (service, metric) not in load.columns:
        return float("nan")
    return float(load[service, metric].dropna().tail(LATEST).mean())


def _state(row: dict[str, Any], age: timedelta) -> tuple[str, str]:
    """Return the gravest thing that holds, and how grave it is."""
    missing, going = row["desired"] - row["running"], row["rollout_state"] == "IN_PROGRESS"
    hangs = going and age > UNFINISHED
    holds = [
        (row["desired"] == 0, OFF, WARN),
        (row["running"] == 0, DOWN, CRITICAL),
        (row["killed"] > 0, MEMORY, CRITICAL if row["killed"] > 1 else WARN),
        (row["ended_badly"] > 1, DYING, CRITICAL),
        (hangs, HANGS, CRITICAL if missing > 0 else WARN),
        (row["rollout_state"] == "FAILED" or row["undone"], BACK, WARN),
        (missing > 0 and not going, SHORT, CRITICAL if 2 * row["running"] <= row["desired"] else WARN),
        (row["memory"] >= FULL_FROM, FULL, WARN),
        (row["cpu"] >= BUSY_FROM, BUSY, WARN),
        (going, DEPLOYING, OK),
    ]
    return next(((state, verdict) for true, state, verdict in holds if true), (USUAL, OK))


def _why(row: dict[str, Any], state: str, bad: pd.DataFrame, window: Window, said: dict[str, str]) -> str:
    parts = [f"{row['running']} of {counted(row['desired'], 'task')} {'runs' if row['running'] == 1 else 'run'}"]
    if len(bad):
        parts.append(f"{counted(len(bad), 'task')} ended since {local(bad['stopped'].min(), window)}, {_how(bad)}")
    if said.get(row["service"]):
        parts.append(f"last said: {shortened(said[row['service']], 120)}")
    if row["rollout_state"] == "IN_PROGRESS":
        unguarded = "" if row["circuit_breaker"] else ", and no circuit breaker would end it"
        parts.append(
            f"the deployment of {tag(row['image'])} since {local(row['since'], window)} has not ended{unguarded}"
        )
    elif state != USUAL and row["since"] >= window.start:
        parts.append(f"the deployment of {tag(row['image'])} began at {local(row['since'], window)}")
    if state == BACK:
        parts.append("its last deployment did not stay")
    if state in (MEMORY, FULL):
        parts.append(
            f"memory at {row['memory']:.0f} % on average" if row["memory"] == row["memory"] else "memory unknown"
        )
    if state == BUSY:
        parts.append(f"CPU at {row['cpu']:.0f} %")
    return "; ".join(parts)


def _how(bad: pd.DataFrame) -> str:
    """Return how tasks ended: the commonest exit code or reason."""
    killed = int(memory_killed(bad).sum())
    if killed:
        return f"{killed} of them killed for their memory"
    codes = bad["exit_code"].dropna()
    if len(codes) and codes.nunique() == 1:
        return f"{'all' if len(codes) == len(bad) else len(codes)} with exit code {codes.iloc[0]:.0f}"
    return f"most: {shortened(str(bad['reason'].mode().iloc[0]), 100)}"


def tag(image: str) -> str:
    """Return an image without its registry: shop-api:2026.11.05-1."""
    return image.rpartition("/")[2] or "–"
