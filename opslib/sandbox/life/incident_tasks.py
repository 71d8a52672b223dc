"""Tasks of an incident: those that stop and those that take their place, as ECS, the logs and the metrics tell of them."""

import hashlib
from typing import Any

import numpy as np

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.metrics import key, series
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS, iso

STARTING = 25_000  # ms until a new task runs
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class Tasks:
    """The tasks of one service during an incident."""

    def __init__(self, incident: Incident, service: str, version: str) -> None:
        self.incident, self.service, self.version = incident, service, version
        self.stops: list[int] = []
        self._number = 0

    def start(self, created: int) -> tuple[str, int]:
        """Start a task; return its id, and when it runs."""
        self._number += 1
        task = hashlib.sha256(f"{self.service} {self.incident.out.name} {self._number}".encode()).hexdigest()[:32]
        running = created + STARTING
        if running < NOW_MS:
            self.say(task, running, "info", f"server started: version {self.version}")
        return task, running

    def stream(self, task: str) -> str:
        """Return the log stream of a task."""
        return f"{self.service}/{task[:12]}"

    def say(self, task: str, at: int, level: str, message: str, **more: Any) -> None:
        """Let a task write a line."""
        self.incident.note(self.service, iso(at), level, message, self.stream(task), version=self.version, **more)

    def stop(self, task: str, started: int, at: int, exit_code: int, why: str = "") -> None:
        """Let a task end by itself."""
        self.stops.append(at)
        self._event("ecs_stopped_tasks", {
            "task": task, "started": iso(started), "at": iso(at), "exit_code": exit_code, "container_reason": why,
        })  # fmt: skip

    def event(self, at: int, message: str) -> None:
        """Let ECS say something about the service."""
        self._event("ecs_service_events", {"at": iso(at), "message": message})

    def started_event(self, at: int, tasks: list[str]) -> None:
        """Let ECS say which tasks it started."""
        self.event(at, f"has started {len(tasks)} tasks: {' '.join(f'(task {task})' for task in tasks)}.")

    def measure(self, since: str, missing: int) -> None:
        """Count restarts, and how many tasks are missing: for a minute after each stop, or all the time (`missing`)."""
        where = {"ClusterName": "shop", "ServiceName": self.service}
        minutes = np.unique(np.array([at // MINUTE * MINUTE for at in self.stops], dtype=np.int64))
        counts = np.array(
            [sum(at // MINUTE * MINUTE == minute for at in self.stops) for minute in minutes], dtype=float
        )
        restarts = series("Count", minutes, np.ones(len(minutes)), counts, counts, counts)
        self.incident.out.replaced[key("ECS/ContainerInsights", "RestartCount", where)] = restarts
        if missing:
            self.incident.metric("ECS/ContainerInsights", "RunningTaskCount", self.service, since, add=-missing, ramp=1)

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        self.incident.out.events.setdefault(kind, []).append({"service": self.service, **event})
