"""The application's reading sessions: real ones, on the database that its switch or the weights of its DNS name lead to.

It looks every 30 seconds, as a pool does that renews its connections. Before anybody moves the reads there are none of
these: the sessions of the life are numbers only, and from the first move on each of ours stands for six of them there.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import psycopg

from opslib.sandbox.dns import Dns
from opslib.sandbox.metrics_store import MetricKey, MetricsStore, Point
from opslib.sandbox.postgres_replica import NAME, PRIMARY
from opslib.sandbox.state_files import READ_SWITCH

SESSIONS, EACH, EVERY, RECORD = 4, 6, 30, "db-read.shop.example."
Connect = Callable[[], psycopg.Connection[Any]]


class Readers:
    """Sessions named `api` that read; `places` opens one by the name of the instance."""

    def __init__(self, places: Mapping[str, Connect], dns: Callable[[], Dns], metrics: MetricsStore) -> None:
        self._places, self._dns, self._metrics = places, dns, metrics
        self._switch, self._at = "primary", ""
        self._open: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()

    def told(self, body: bytes) -> None:
        """Hear of a parameter that was put."""
        with contextlib.suppress(ValueError):
            asked = orjson.loads(body)
            if asked.get("Name") == READ_SWITCH:
                self._switch = str(asked.get("Value"))

    def look(self, at: float) -> None:
        """Go where reads are to go, and read."""
        with self._lock:
            wanted = NAME if self._switch == "replica" or self._by_dns() else PRIMARY
            if wanted == PRIMARY and not self._at:
                return  # never moved
            if wanted != self._at:
                self._close()
            self._at = wanted
            self._read()
            self._count(int(at))

    def _by_dns(self) -> bool:
        dns = self._dns()
        weights = {one["SetIdentifier"]: int(one["Weight"]) for one in dns.records if one["Name"] == RECORD}
        return bool(weights.get("replica")) and not weights.get("primary") and all(map(dns.in_sync, dns.changes))

    def _read(self) -> None:
        with contextlib.suppress(psycopg.Error):  # the database is away: the next look tries again
            self._open = [one for one in self._open if not one.closed]
            while len(self._open) < SESSIONS:
                self._open.append(self._places[self._at]())
            for one in self._open:
                one.execute("SELECT id, status FROM orders WHERE user_id = 'u-10042' ORDER BY placed_at DESC LIMIT 20")

    def _close(self) -> None:
        for one in self._open:
            one.close()
        self._open = []

    def _count(self, at: int) -> None:
        for name in self._places:
            key: MetricKey = ("AWS/RDS", "DatabaseConnections", (("DBInstanceIdentifier", name),))
            series = self._metrics.get(key)
            if series is None or series.seeded is None:
                continue
            usual = float(series.seeded.sum[-1] / series.seeded.count[-1])
            moved = SESSIONS * EACH if self._at == NAME else 0
            value = usual + moved if name == NAME else usual - moved
            self._metrics.put(key, series.unit, [Point(at, 1, value, value, value)])
