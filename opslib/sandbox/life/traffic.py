"""Who asked for what, and when: the requests of the last 26 hours, and what a request's number says about it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opslib.sandbox.life.rhythm import DAY, HOUR, JAPAN, LOGS_START, NOW_MS, Ints, durations, generator, instants
from opslib.sandbox.life.shop import Route, Shop


@dataclass(slots=True)
class Request:
    """One request as it passes through the services."""

    start: int
    route: str
    user: str
    id: str
    total: int
    status: int = 200
    failure: str = ""
    order: int = 0
    job: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Return the number in the id: all its small choices follow from it."""
        return int(self.id[4:], 16)

    @property
    def end(self) -> int:
        """Return when the answer left."""
        return self.start + self.total

    @property
    def trace(self) -> str:
        """Return the trace id, in the manner of X-Ray."""
        number = self.number
        tail = (number * 0x9E3779B97F4A7C15F39CC0605CEDC835) & ((1 << 96) - 1)
        return f"1-{self.start // 1000:08x}-{tail:024x}"


def basket(number: int, shop: Shop) -> list[tuple[int, int]]:
    """Return (product, quantity) of the order that a request with this number places."""
    count = (1, 2, 3, 1)[number & 3]
    return [((number >> (8 + 7 * i)) % len(shop.skus), 1 + ((number >> (30 + i)) & 1)) for i in range(count)]


def total_yen(number: int, shop: Shop) -> int:
    """Return what that order costs."""
    return sum(shop.prices[product] * quantity for product, quantity in basket(number, shop))


def request_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Return new request ids."""
    text = rng.bytes(6 * count).hex()
    return ["req-" + text[i : i + 12] for i in range(0, 12 * count, 12)]


def pick_users(rng: np.random.Generator, count: int, shop: Shop) -> Ints:
    """Return user numbers; some customers come often."""
    share = rng.random(count)
    size = shop.raw["shop"]["users"]
    return shop.raw["shop"]["first_user"] + ((share * share * size).astype(np.int64) * 7919) % size


def network_of(user: int, shop: Shop) -> str:
    """Return the address that a customer comes from."""
    blocks = shop.raw["networks"]["customers"]
    return f"{blocks[user % len(blocks)]}{user // 8 % 250 + 1}.{user * 7 % 250 + 1}"


def agent_of(user: int, shop: Shop) -> str:
    """Return a customer's browser."""
    agents = shop.raw["agents"]["customers"]
    return str(agents[user * 31 % len(agents)])


def _ending(route: Route, shop: Shop, share: float, length: float) -> tuple[str, int, int | None]:
    for failure in shop.failures_of(route.key):
        if share < failure.p:
            slow = int(failure.median_ms + (failure.p99_ms - failure.median_ms) * length) if failure.median_ms else None
            return failure.kind, failure.status, slow
        share -= failure.p
    return "", 201 if route.method == "POST" and route.job else 200, None


def customer_requests(scale: float, shop: Shop) -> list[Request]:
    """Return what customers asked for in the last 26 hours, oldest first."""
    rng = generator("customers")
    count = round(shop.raw["shop"]["requests"] * scale)
    starts = instants(rng, count, LOGS_START, NOW_MS - 8_000, shop.raw["rhythm"])
    routes = [route for route in shop.routes.values() if route.share]
    shares = np.cumsum([route.share for route in routes])
    chosen = np.searchsorted(shares, rng.random(count) * shares[-1], side="right")
    users, ids = pick_users(rng, count, shop), request_ids(rng, count)
    length, luck, known = rng.random(count), rng.random(count).tolist(), rng.random(count)
    totals = np.zeros(count, dtype=np.int64)
    for index, route in enumerate(routes):
        here = chosen == index
        totals[here] = durations(length[here], route.median_ms, route.p99_ms)
    guest = (known < 0.42) & np.array([route.method == "GET" and "account" not in route.path for route in routes])[
        chosen
    ]
    found = []
    for start, index, user, name, total, share, unknown in zip(
        starts.tolist(), chosen.tolist(), users.tolist(), ids, totals.tolist(), luck, guest.tolist(), strict=True
    ):
        failure, status, slow = _ending(routes[index], shop, share, share * 997 % 1)
        who = "" if unknown else f"u-{user}"
        found.append(Request(start, routes[index].key, who, name, slow or total, status, failure))
    return found


def staff_times(person: dict[str, Any], rng: np.random.Generator, start: int, end: int, scale: float) -> Ints:
    """Return when one member of the staff acted: in working hours, on working days."""
    first_day, last_day = (start + JAPAN) // DAY, (end + JAPAN) // DAY
    days = [day for day in range(first_day, last_day + 1) if (day + 3) % 7 in person["days"]]
    opens, closes = person["hours"]
    times = []
    for day in days:
        count = int(person["per_day"] * scale * (0.8 + 0.4 * rng.random()) + rng.random())
        clock = opens + (closes - opens) * rng.random(count)
        lunch = (clock >= 12.0) & (clock < 13.0) & (rng.random(count) < 0.8) & (opens < 12)
        times.append((day * DAY - JAPAN + clock[~lunch] * HOUR).astype(np.int64))
    merged = np.sort(np.concatenate(times)) if times else np.zeros(0, dtype=np.int64)
    return merged[(merged >= start) & (merged < end)]
