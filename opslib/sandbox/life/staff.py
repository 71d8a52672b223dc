"""What the administrators did on the admin screen in 120 days, each by his or her habits."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from opslib.sandbox.life.rhythm import HISTORY_START, LOGS_START, NOW_MS, durations, generator
from opslib.sandbox.life.shop import Shop
from opslib.sandbox.life.traffic import Request, pick_users, request_ids, staff_times

ROUTE = "POST /admin/actions"


@dataclass(slots=True)
class StaffAction:
    """One act of one member of the staff."""

    at: int
    actor: str
    action: str
    target_type: str
    target: str
    ip: str
    agent: str
    request: str
    total: int


def staff_actions(scale: float, orders: int, shop: Shop) -> list[StaffAction]:
    """Return all acts of the staff in 120 days, oldest first; `orders` is how many orders there were."""
    found: list[StaffAction] = []
    for person in shop.raw["staff"]:
        found += _acts(person, scale, orders, shop)
    return sorted(found, key=lambda act: (act.at, act.actor))


def _acts(person: dict[str, Any], scale: float, orders: int, shop: Shop) -> list[StaffAction]:
    rng = generator(f"staff {person['id']}")
    at = staff_times(person, rng, HISTORY_START, NOW_MS - 8_000, scale)
    count = len(at)
    actions, weights = list(person["actions"]), np.cumsum(list(person["actions"].values()))
    chosen = np.searchsorted(weights, rng.random(count) * weights[-1], side="right").tolist()
    # Staff look at what is recent: an order of the last day or so.
    age = (rng.random(count) ** 2 * 1500 * scale).astype(np.int64)
    newest = (orders * ((at - HISTORY_START) / (NOW_MS - HISTORY_START))).astype(np.int64)
    order = shop.raw["shop"]["first_order"] + np.maximum(0, newest - age)
    user, sku = pick_users(rng, count, shop).tolist(), (rng.random(count) * len(shop.skus)).astype(int).tolist()
    ip = f"{shop.raw['networks'][person['network']]}{20 + sum(person['id'].encode()) % 200}"
    agent = shop.raw["agents"]["staff"][person["agent"]]
    route = shop.routes[ROUTE]
    totals = durations(rng.random(count), route.median_ms, route.p99_ms).tolist()
    ids = request_ids(rng, count)
    return [
        StaffAction(
            when, person["id"], actions[index], *_target(actions[index], number, whom, shop.skus[item]),
            ip, agent, name, total,
        )
        for when, index, number, whom, item, name, total in zip(
            at.tolist(), chosen, order.tolist(), user, sku, ids, totals, strict=True
        )
    ]  # fmt: skip


def _target(action: str, order: int, user: int, sku: str) -> tuple[str, str]:
    kind = action.split(".")[0]
    if kind in ("order", "payment"):
        return "order", str(order)
    if kind == "user":
        return "user", f"u-{user}"
    if kind in ("product", "price", "stock"):
        return "product", sku
    return kind, "-"


def staff_requests(actions: list[StaffAction]) -> list[Request]:
    """Return the requests behind the acts of the last 26 hours."""
    return [
        Request(act.at, ROUTE, act.actor, act.request, act.total, extra={"action": act.action, "act": act})
        for act in actions
        if act.at >= LOGS_START
    ]
