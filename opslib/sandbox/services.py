"""The services that we model ourselves, region by region, over one life."""

import threading
from typing import Any

from opslib.sandbox import apis
from opslib.sandbox.clock import Clock
from opslib.sandbox.log_store import Arrived, LogStore
from opslib.sandbox.logs_api import LogsApi
from opslib.sandbox.logs_queries import LogsQueries
from opslib.sandbox.logs_reading import LogsReading
from opslib.sandbox.logs_saved import LogsSaved
from opslib.sandbox.logs_writing import LogsWriting
from opslib.sandbox.metrics_api import MetricsApi
from opslib.sandbox.metrics_store import MetricKey, MetricsStore
from opslib.sandbox.operations import Operation, Registry
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.settings import Settings

OWNERS: tuple[type, ...] = (LogsApi, LogsWriting, LogsReading, LogsQueries, LogsSaved, MetricsApi, *apis.owners())
HOME = "ap-northeast-1"
GLOBAL = "us-east-1"
Events = dict[str, list[dict[str, Any]]]
Metrics = dict[MetricKey, Any]
GLOBAL_NAMESPACES = ("AWS/CloudFront", "AWS/Route53")  # AWS tells their metrics nowhere else
REPLICA = (("DBInstanceIdentifier", "shop-db-replica-1"),)
OF_REPLICA = (
    "EBSIOBalance%",
    "EBSByteBalance%",
    "MaximumUsedTransactionIDs",
    "WriteLatency",
)  # as the primary's base life


class Region:
    """Our stores of one region, and the operations over them."""

    def __init__(self, name: str, clock: Clock, settings: Settings, events: Events | None, arrived: Arrived) -> None:
        self.logs = LogStore(name, arrived)
        self.metrics = MetricsStore(lambda: clock.now().timestamp())
        self.queries = LogsQueries(self.logs, clock, settings)
        self.state = RegionState(name, clock, settings, self.logs, self.metrics, {} if events is None else events)
        self.registry = Registry.of(
            [
                LogsApi(self.logs, clock),
                LogsWriting(self.logs, clock),
                LogsReading(self.logs, clock),
                self.queries,
                LogsSaved(self.logs, clock),
                MetricsApi(self.metrics, clock),
                *(owner(self.state) for owner in apis.owners()),
            ]
        )


class Services:
    """Every region, made when first asked for; the life is in one, but for its global metrics."""

    def __init__(self, clock: Clock, settings: Settings, events: Events | None = None) -> None:
        self._made: dict[str, Region] = {}
        self._lock = threading.Lock()
        self.arrived: Arrived = lambda region, group, events: None  # metric filters, once they are there
        tell: Arrived = lambda *told: self.arrived(*told)  # noqa: E731
        self._make = lambda name: Region(name, clock, settings, events, tell)

    @classmethod
    def of(cls, life: Any, overlay: Any, clock: Clock, settings: Settings) -> "Services":
        """Make them and fill them from a life and an incident."""
        more = _also_told(life.metrics) if life is not None else {}
        if overlay is not None:
            from opslib.sandbox.life import apply  # only here: an empty account needs no life

            life = apply(life, overlay)
        services = cls(clock, settings, None if life is None else life.events)
        if life is not None:
            everywhere = {key: series for key, series in life.metrics.items() if key[0] in GLOBAL_NAMESPACES}
            services.region(GLOBAL).metrics.seed(everywhere)
            home = {key: series for key, series in life.metrics.items() if key[0] not in GLOBAL_NAMESPACES}
            services.region(HOME).metrics.seed({**more, **home, **_of_clusters(home)})
            services.region(HOME).logs.seed(life.logs)
        return services

    def region(self, name: str) -> Region:
        """Return one region."""
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    def regions(self) -> list[str]:
        """Return the names of the regions that were asked for."""
        with self._lock:
            return list(self._made)

    def find(self, service: str, name: str, region: str) -> Operation | None:
        """Return the operation of a region, or None when it is not ours."""
        return self.region(region).registry.get(service, name)

    @property
    def home(self) -> Region:
        """Return the region of the shop."""
        return self.region(HOME)


def _also_told(metrics: Metrics) -> Metrics:
    """Return what the life leaves out of the replica."""
    return {(key[0], key[1], REPLICA): series for key, series in metrics.items() if key[1] in OF_REPLICA}


def _of_clusters(metrics: Metrics) -> Metrics:
    """Return what ElastiCache tells by cache cluster alone, too: each has one node."""
    return {
        (key[0], key[1], key[2][:1]): series for key, series in metrics.items() if key[0] == "AWS/ElastiCache"
    }  # CacheClusterId comes before CacheNodeId
