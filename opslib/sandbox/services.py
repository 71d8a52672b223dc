"""The services that we model ourselves, over one life."""

from typing import Any

from opslib.sandbox.clock import Clock
from opslib.sandbox.log_store import LogStore
from opslib.sandbox.logs_api import LogsApi
from opslib.sandbox.logs_reading import LogsReading
from opslib.sandbox.metrics_store import MetricsStore
from opslib.sandbox.operations import Registry
from opslib.sandbox.settings import Settings

OWNERS: tuple[type, ...] = (LogsApi, LogsReading)


class Services:
    """Our stores and the operations over them."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.logs = LogStore()
        self.metrics = MetricsStore()
        self._owners: tuple[object, ...] = (LogsApi(self.logs, clock), LogsReading(self.logs, clock))

    @classmethod
    def of(cls, life: Any, overlay: Any, clock: Clock, settings: Settings) -> "Services":
        """Make them and fill them from a life and an incident."""
        services = cls(clock, settings)
        if overlay is not None:
            from opslib.sandbox.life import apply  # only here: an empty account needs no life

            life = apply(life, overlay)
        if life is not None:
            services.logs.seed(life.logs)
        return services

    def registry(self) -> Registry:
        """Return every operation that we answer."""
        return Registry.of(self._owners)

    def connect(self, ministack: Any) -> None:
        """Called once ministack is there."""
