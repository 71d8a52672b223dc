"""Attacks as rows of an audit trail, told as they happen to a shop and not as detections see them, and near misses.

An attack's rows are laid over a quiet trail; `before` are rows of the weeks before it (only the table has them), `silent`
is a span in minutes in which no row at all is left, `lacks` the source from which its rows are taken away.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from opslib.checks import audit_events
from opslib.sources.audit import COLUMNS

MORNING = datetime(2026, 11, 5, 1, 10, tzinfo=UTC)  # a Thursday, 10:10 in Japan
NIGHT = datetime(2026, 11, 4, 17, 40, tzinfo=UTC)  # 02:40 in Japan
YESTERDAY = datetime(2026, 11, 4, 3, 30, tzinfo=UTC)  # for what takes its time
FIRST, PLANTED = 1, 50_000_000  # ids: of the first row when all are numbered anew, and of an attack's before that
Row = dict[str, Any]  # minutes after the start, and what differs from PLAIN
PLAIN: Row = {
    "actor": "suzuki.misaki", "actor_type": "staff", "action": "order.view", "target_type": "order", "target_id": "880001", "ip": "203.0.113.187",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "outcome": "success", "detail": "{}",
}  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """One attack, and the name of the detection that is there for it."""

    name: str
    wanted: str
    rows: list[Row] = field(default_factory=list)
    start: datetime = MORNING
    before: list[Row] = field(default_factory=list)
    silent: tuple[float, float] | None = None
    lacks: str = ""

    @property
    def end(self) -> datetime:
        """Return when it is over."""
        last = max([row["after"] for row in self.rows] + [self.silent[1] if self.silent else 0])
        return self.start + timedelta(minutes=last)

    def records(self, first_id: int) -> list[Row]:
        """Return its rows with times and ids."""
        return [self._record(row, first_id + place) for place, row in enumerate(self.rows)]

    def earlier(self, first_id: int) -> list[Row]:
        """Return the rows of the weeks before."""
        return [self._record(row, first_id + place) for place, row in enumerate(self.before)]

    def _record(self, row: Row, number: int) -> Row:
        at = self.start + timedelta(minutes=row["after"])
        own = {key: value for key, value in row.items() if key != "after"}
        return {"id": number, "at": at, **PLAIN, "request_id": f"req-{number:012x}", **own}


def login(user: int, after: float, ip: str = "198.18.7.21", good: bool = False) -> Row:
    """Return a login of a customer."""
    outcome = "success" if good else "failure"
    return {"after": after, "actor": f"u-{user}", "actor_type": "user", "action": "session.login", "target_type": "user", "target_id": f"u-{user}", "ip": ip, "outcome": outcome}  # fmt: skip


def acts(count: int, minutes: float, make: Callable[[int], Row], *, even: float = 0.0) -> list[Row]:
    """Return so many rows within so many minutes, as people do them, or evenly but for a part of the distance."""
    dice = random.Random(f"{count} {minutes}")
    if even:
        step = minutes / (count - 1)
        times = [place * step + dice.uniform(-even, even) * step for place in range(count)]
    else:
        times = sorted([0.0, minutes, *(dice.random() ** 1.5 * minutes for _ in range(count - 2))])
    return [{**make(place), "after": after} for place, after in enumerate(times)]


def _tries(user: int, count: int, minutes: float, good_at: float | None = None) -> list[Row]:
    rows = acts(count, minutes, lambda _: login(user, 0))
    return rows + ([login(user, good_at, good=True)] if good_at is not None else [])


def _sprayed(count: int, minutes: float, ips: Callable[[int], str], first: int = 20_000) -> list[Row]:
    return [login(first + place * 7, row["after"], ips(place)) for place, row in enumerate(acts(count, minutes, lambda _: {}))]  # fmt: skip


def _views(actor: str, ids: Callable[[int], int], kind: str = "order") -> Callable[[int], Row]:
    user = {"actor_type": "user", "ip": "126.12.9.4"} if actor.startswith("u-") else {}
    return lambda place: {"actor": actor, "action": f"{kind}.view", "target_type": kind, "target_id": str(ids(place)), **user}  # fmt: skip


def _did(action: str, actor: str = "suzuki.misaki", **more: Any) -> Callable[[int], Row]:
    return lambda place: {"actor": actor, "action": action, "target_type": action.split(".")[0], "target_id": f"u-{31_000 + place * 13}", **more}  # fmt: skip


def _one(after: float, action: str, actor: str, target: str = "-", **more: Any) -> Row:
    return {"after": after, "actor": actor, "action": action, "target_type": "role", "target_id": target, **more}


def _scattered(place: int) -> int:
    return 880_000 + place * 37 % 1009


def _elsewhere(addresses: int, key: str = "", actor: str = "partner-api") -> Callable[[int], Row]:
    detail = f'{{"api_key": "{key}"}}' if key else "{}"
    kind = "key" if key else "staff"
    return lambda place: {"actor": actor, "actor_type": kind, "ip": f"198.51.{100 + place % addresses}.9", "detail": detail, "target_id": str(_scattered(place))}  # fmt: skip


def work(actor: str, days: int, **more: Any) -> list[Row]:
    """Return an ordinary past: a few things an hour in the morning, on so many working days."""
    rows = []
    for day in range(1, days + 1):
        if (MORNING - timedelta(days=day)).weekday() < 5:
            rows += [{"after": -day * 1440 + minute, "actor": actor, **more} for minute in (0, 30, 60, 120)]
    return rows


ATTACKS = [
    Attack("a list of passwords on one account", "failed-login burst", _tries(20_480, 16, 5)),
    Attack("the same over an edge of the hour", "failed-login burst", _tries(20_480, 11, 8), MORNING + timedelta(minutes=46)),
    Attack("a patient one, every quarter of an hour", "failed-login burst", _tries(20_480, 40, 600), YESTERDAY),
    Attack("a password that is found", "burst then success", _tries(20_481, 14, 6, good_at=11)),
    Attack("one address tries many accounts", "password spray", _sprayed(14, 4, lambda _: "198.18.7.21")),
    Attack("a botnet in one network", "password spray", _sprayed(60, 9, lambda place: f"198.18.{place % 50}.{place}")),
    Attack("one account every ten minutes", "password spray", _sprayed(34, 330, lambda _: "198.18.7.21"), YESTERDAY),
    Attack("an administrator makes herself more", "privilege grant", [_one(0, "role.grant", "suzuki.misaki", "suzuki.misaki")]),
    Attack("somebody who never does gives a role", "privilege grant", [_one(0, "role.grant", "tanaka.yui", "u-10482", ip="203.0.113.33")]),
    Attack("a helper for an hour", "grant-use-revoke", [
        _one(0, "role.grant", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"), _one(20, "user.view", "ito.daisuke", "u-10482", ip="198.51.100.140"),
        _one(31, "payment.view", "ito.daisuke", "u-10482", ip="198.51.100.140"), _one(52, "role.revoke", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"),
    ]),
    Attack("a helper for most of a day", "grant-use-revoke", [
        _one(0, "role.grant", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"), _one(500, "payment.view", "ito.daisuke", "u-10482", ip="198.51.100.140"),
        _one(1190, "role.revoke", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"),
    ], YESTERDAY),
    Attack("one report after the other", "bulk export", acts(15, 48, _did("report.export"))),
    Attack("the whole customer list at once", "bulk export", [_one(0, "user.export", "suzuki.misaki", detail='{"rows": 184211}')]),
    Attack("accounts are deleted", "bulk delete", acts(28, 3.5, _did("user.delete"))),
    Attack("accounts are deleted slowly", "bulk delete", acts(70, 58, _did("user.delete"))),
    Attack("a curious colleague", "mass access", acts(170, 54, _did("user.view"))),
    Attack("orders one after the other", "sequential enumeration", acts(64, 21, _views("u-20482", lambda place: 700_400 + place))),
    Attack("orders one after the other, with other things between", "sequential enumeration", acts(90, 600, _views("u-20482", lambda place: 700_400 + place if place % 7 else _scattered(place))), YESTERDAY),
    Attack("at night", "off-hours", acts(6, 25, _did("product.update", "tanaka.yui", ip="203.0.113.33")), NIGHT),
    Attack("after the day's work", "off-hours", acts(5, 20, _did("payment.view", "watanabe.aoi", ip="203.0.113.214")), datetime(2026, 11, 4, 11, 20, tzinfo=UTC)),
    Attack("from a hotel", "new origin", acts(5, 30, _did("order.view", "sato.kenichi", ip="198.18.44.10"))),
    Attack("a warehouse hand prints reports", "first-time action", acts(2, 9, _did("report.export", "ito.daisuke", ip="198.51.100.140"))),
    Attack("who left in summer", "dormant account", acts(3, 15, _did("user.view", "kobayashi.ken")), before=[{"after": -75 * 1440, "actor": "kobayashi.ken"}, {"after": -76 * 1440, "actor": "kobayashi.ken"}]),
    Attack("nobody's account", "dormant account", acts(2, 15, _did("user.view", "tmp-admin"))),
    Attack("no rows for most of an hour", "audit gap", silent=(0, 52)),
    Attack("the trail is switched off", "audit gap", [_one(0, "audit.disable", "suzuki.misaki")]),
    Attack("rows are deleted from the table", "audit gap", acts(9, 12, _did("user.view")), lacks="table"),
    Attack("lines are lost", "audit gap", acts(11, 12, _did("user.view")), lacks="log"),
    Attack("a deletion by script, and its traces with it", "audit gap", acts(25, 0.1, _did("user.delete")), lacks="both"),
    Attack("doors are tried", "permission probing", acts(26, 7, lambda place: _did("setting.view")(place % 12) | {"outcome": "denied"})),
    Attack("a script looks at orders", "scripted cadence", acts(34, 17, _did("order.view"), even=0.03)),
    Attack("a slow script looks at orders", "scripted cadence", acts(26, 150, _did("order.view"), even=0.03), YESTERDAY),
    Attack("a key is passed around", "many addresses for one key", acts(18, 45, _elsewhere(6, key="key-7f21"))),
    Attack("an administrator in many places", "many addresses for one key", acts(9, 50, _elsewhere(5, actor="sato.kenichi"))),
]  # fmt: skip

NEAR_MISSES = [
    Attack("a forgotten password", "failed-login burst", _tries(20_480, 7, 5)),
    Attack("tries over two hours", "failed-login burst", [login(20_480, 14.0 * place) for place in range(9)]),
    Attack("a forgotten password that comes back", "burst then success", _tries(20_481, 6, 6, good_at=9)),
    Attack("a family", "password spray", _sprayed(3, 4, lambda _: "198.18.7.21")),
    Attack("a carrier's address, where most get in", "password spray", [
        *_sprayed(8, 9, lambda _: "126.12.9.4"), *(login(25_000 + place, place / 4, "126.12.9.4", good=True) for place in range(36)),
    ]),
    Attack("a role is taken back", "privilege grant", [_one(0, "role.revoke", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70")]),
    Attack("a role that is kept", "grant-use-revoke", [
        _one(0, "role.grant", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"), _one(20, "user.view", "ito.daisuke", "u-10482", ip="198.51.100.140"),
    ]),
    Attack("a role that was never used", "grant-use-revoke", [
        _one(0, "role.grant", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"), _one(5, "role.revoke", "yamamoto.jun", "ito.daisuke", ip="198.51.100.70"),
    ]),
    Attack("the reports of the month", "bulk export", acts(6, 48, _did("report.export"))),
    Attack("a list of a thousand", "bulk export", [_one(0, "user.export", "suzuki.misaki", detail='{"rows": 1000}')]),
    Attack("some accounts are deleted", "bulk delete", acts(12, 3.5, _did("user.delete"))),
    Attack("a busy hour", "mass access", acts(70, 58, _did("user.view"))),
    Attack("a customer's own orders", "sequential enumeration", acts(30, 21, _views("u-20482", lambda place: 700_400 + place))),
    Attack("orders here and there", "sequential enumeration", acts(80, 400, _views("u-20482", _scattered))),
    Attack("the morning's work", "off-hours", acts(6, 25, _did("product.update"))),
    Attack("from the office", "new origin", acts(5, 30, _did("order.view"))),
    Attack("what is always done", "first-time action", acts(5, 30, _did("order.view"))),
    Attack("back from a month of leave", "dormant account", acts(3, 15, _did("user.view", "kobayashi.ken")), before=[{"after": -35 * 1440, "actor": "kobayashi.ken"}]),
    Attack("a quiet quarter of an hour", "audit gap", silent=(0, 14)),
    Attack("two rows are deleted from the table", "audit gap", acts(2, 12, _did("user.view")), lacks="table"),
    Attack("inserts that were rolled back", "audit gap", [{"after": 25.0 * place} for place in range(9)], lacks="both"),
    Attack("two doors", "permission probing", acts(26, 7, lambda place: _did("setting.view")(place % 2) | {"outcome": "denied"})),
    Attack("a few refusals", "permission probing", acts(9, 7, lambda place: _did("setting.view")(place) | {"outcome": "denied"})),
    Attack("somebody who works steadily", "scripted cadence", acts(34, 17, _did("order.view"), even=0.45)),
    Attack("office, home and a phone", "many addresses for one key", acts(9, 50, _elsewhere(3, actor="sato.kenichi"))),
    Attack("many addresses over a day", "many addresses for one key", [{"after": 170.0 * place, **_elsewhere(8, key="key-7f21")(place)} for place in range(8)], YESTERDAY),
]  # fmt: skip


def over(
    attack: Attack, table: pd.DataFrame, lines: pd.DataFrame, history: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return table, lines and habits by hour with an attack laid over them, numbered anew in the order of time."""
    every = pd.concat(
        [table, pd.DataFrame(attack.records(PLANTED), columns=list(table.columns))] if attack.rows else [table]
    )
    if attack.silent:
        first, last = (attack.start + timedelta(minutes=after) for after in attack.silent)
        every = every[(every["at"] < first) | (every["at"] >= last)]
    every = every.sort_values(["at", "id"], kind="stable", ignore_index=True)
    planted = every["id"] >= PLANTED
    numbers = pd.Series(range(FIRST, FIRST + len(every)), index=every["id"])
    every["id"] = numbers.to_numpy()
    left = lines[lines["id"].isin(numbers.index)].assign(id=lambda frame: frame["id"].map(numbers))
    told = pd.concat([left, every[planted]], ignore_index=True).sort_values("at", kind="stable", ignore_index=True)
    if attack.lacks in ("table", "both"):
        every = every[~planted]
    if attack.lacks in ("log", "both"):
        told = left
    return every.reset_index(drop=True), told, pd.concat([history, by_hour(attack.earlier(1))], ignore_index=True)


def by_hour(rows: list[Row]) -> pd.DataFrame:
    """Return rows of the weeks before as queries/audit_history.sql does."""
    if not rows:
        return pd.DataFrame()
    frame = audit_events.events(pd.DataFrame(rows)[list(COLUMNS)])
    frame["hour"] = frame["at"].dt.floor("h")
    grouped = frame.groupby(["actor", "action", "network", "hour"])
    return grouped.agg(
        rows=("id", "size"), targets=("target_id", "nunique"), exported=("exported", "sum")
    ).reset_index()
