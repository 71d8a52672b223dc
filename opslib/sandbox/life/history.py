"""What customers did in the 120 days before the kept logs, in columns: only the database remembers it."""

from dataclasses import dataclass

import numpy as np

from opslib.sandbox.life.rhythm import HISTORY_START, LOGS_START, Ints, generator, instants
from opslib.sandbox.life.shop import Route, Shop
from opslib.sandbox.life.traffic import pick_users


@dataclass
class Past:
    """Audited actions of customers, oldest first, one a row."""

    at: Ints
    route: Ints  # index into `routes`
    routes: list[Route]
    user: Ints
    number: Ints
    ids: str  # hexadecimal digits, 12 a row
    succeeded: np.ndarray
    order: Ints  # 0 where none was placed

    def request_id(self, row: int) -> str:
        """Return the request id of a row."""
        return "req-" + self.ids[12 * row : 12 * row + 12]


def audited(shop: Shop) -> list[Route]:
    """Return the customers' routes that leave audit rows."""
    return [route for route in shop.routes.values() if route.audit and route.share]


def past(count: int, shop: Shop) -> Past:
    """Return this many audited actions before the kept logs."""
    rng = generator("history")
    at = instants(rng, count, HISTORY_START, LOGS_START, shop.raw["rhythm"])
    routes = audited(shop)
    shares = np.cumsum([route.share for route in routes])
    route = np.searchsorted(shares, rng.random(count) * shares[-1], side="right")
    user = pick_users(rng, count, shop)
    raw = rng.bytes(6 * count)
    digits = np.frombuffer(raw, dtype=np.uint8).reshape(count, 6).astype(np.int64)
    number = sum(digits[:, place] << (40 - 8 * place) for place in range(6))
    luck = rng.random(count)
    broken = np.array([sum(failure.p for failure in shop.failures_of(route.key)) for route in routes])
    succeeded = luck >= broken[route]
    checkout = next(index for index, given in enumerate(routes) if given.audit == "order.place")
    placed = (route == checkout) & (luck >= _before_the_draft(routes[checkout], shop))
    order = np.where(placed, shop.raw["shop"]["first_order"] + np.cumsum(placed) - 1, 0)
    return Past(at, route, routes, user, number, raw.hex(), succeeded, order)


def _before_the_draft(checkout: Route, shop: Shop) -> float:
    """Return the share of checkouts that end before an order row exists."""
    return sum(failure.p for failure in shop.failures_of(checkout.key) if not failure.order_status)


def baskets(number: Ints, shop: Shop) -> tuple[Ints, Ints, Ints]:
    """Return (row, product, quantity) of all orders placed by requests with these numbers; see traffic.basket."""
    count = np.array([1, 2, 3, 1])[number & 3]
    found = []
    for place in range(3):
        rows = np.nonzero(count > place)[0]
        bits = number[rows]
        found.append((rows, (bits >> (8 + 7 * place)) % len(shop.skus), 1 + ((bits >> (30 + place)) & 1)))
    row, product, quantity = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(row, kind="stable")
    return row[order], product[order], quantity[order]


def totals_yen(number: Ints, shop: Shop) -> Ints:
    """Return what those orders cost."""
    row, product, quantity = baskets(number, shop)
    total = np.zeros(len(number), dtype=np.int64)
    np.add.at(total, row, np.array(shop.prices)[product] * quantity)
    return total
