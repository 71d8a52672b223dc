"""The shop's tables as files that PostgreSQL's COPY reads; audit_logs is in audit.py."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opslib.sandbox.life.history import Past, baskets, totals_yen
from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.rhythm import DAY, HISTORY_START, NOW_MS, Ints, generator, sql_times
from opslib.sandbox.life.shop import Shop
from opslib.sandbox.life.traffic import Request

TABLES = ("users", "products", "stock", "orders", "order_items", "payments", "job_runs", "audit_logs")
NULL = r"\N"


@dataclass
class Orders:
    """All orders, in columns, in the order of their ids."""

    id: Ints
    user: Ints
    number: Ints
    placed: Ints
    status: list[str]
    request: list[str]


def _past_status(number: Ints, age: Ints, succeeded: np.ndarray) -> list[str]:
    settled = np.where(age > 5 * DAY, "delivered", np.where(age > DAY * 3 // 2, "shipped", "paid"))
    settled = np.where((number >> 40) % 45 == 0, "cancelled", settled)
    return list(np.where(succeeded, settled, "payment_failed").tolist())


def all_orders(past: Past, requests: Iterable[Request], shop: Shop) -> Orders:
    """Return the orders of 120 days."""
    rows = np.nonzero(past.order)[0]
    new = [request for request in requests if request.order]
    failures = shop.failures
    return Orders(
        np.concatenate([past.order[rows], np.array([request.order for request in new], dtype=np.int64)]),
        np.concatenate([past.user[rows], np.array([int(request.user[2:]) for request in new], dtype=np.int64)]),
        np.concatenate([past.number[rows], np.array([request.number for request in new], dtype=np.int64)]),
        np.concatenate([past.at[rows], np.array([request.start for request in new], dtype=np.int64)]),
        _past_status(past.number[rows], NOW_MS - past.at[rows], past.succeeded[rows])
        + [failures[request.failure].order_status if request.failure else "paid" for request in new],
        [past.request_id(row) for row in rows.tolist()] + [request.id for request in new],
    )


def _put(directory: Path, table: str, rows: Iterable[str]) -> None:
    text = "\n".join(rows)
    (directory / f"{table}.copy").write_bytes((text + "\n" if text else "").encode())


def write_users(directory: Path, past: Past, requests: Iterable[Request], shop: Shop) -> None:
    """Write the customers, each with the time of the last thing done."""
    rng, size, base = generator("users"), shop.raw["shop"]["users"], shop.raw["shop"]["first_user"]
    words = shop.raw["words"]
    created = (HISTORY_START - DAY - rng.random(size) * 900 * DAY).astype(np.int64)
    seen = created + 60_000
    np.maximum.at(seen, past.user - base, past.at)
    for request in requests:
        if request.user.startswith("u-"):
            seen[int(request.user[2:]) - base] = max(seen[int(request.user[2:]) - base], request.start)
    family, given = (rng.integers(0, 20, size).tolist() for _ in range(2))
    where = rng.integers(0, len(words["prefectures"]), size).tolist()
    closed = (rng.random(size) < 0.015).tolist()
    columns = zip(family, given, where, closed, sql_times(created), sql_times(seen), strict=True)
    _put(directory, "users", (
        f"u-{number}\tu{number}@mail.example\t{words['family'][a]} {words['given'][b]}\t"
        f"{words['family_kana'][a]} {words['given_kana'][b]}\t{words['prefectures'][place]}\t"
        f"{'closed' if gone else 'active'}\t{born}\t{last}"
        for number, (a, b, place, gone, born, last) in enumerate(columns, start=base)
    ))  # fmt: skip


def write_products(directory: Path, shop: Shop) -> None:
    """Write the products and their stock."""
    rng, given = generator("products"), shop.raw["products"]
    count = len(given["list"])
    born = sql_times((HISTORY_START - rng.random(count) * 600 * DAY).astype(np.int64))
    touched = sql_times((NOW_MS - 3_000_000 - rng.random(count) * 3_600_000).astype(np.int64))
    _put(directory, "products", (
        f"{number}\t{sku}\t{name}\t{given['categories'][kind]}\t{yen}\t{at}"
        for number, ((sku, name, kind, yen), at) in enumerate(zip(given["list"], born, strict=True), start=1)
    ))  # fmt: skip
    amounts = rng.integers(20, 900, count).tolist()
    _put(directory, "stock", (
        f"{sku}\t{amount}\t{amount % 7}\t{at}"
        for sku, amount, at in zip(shop.skus, amounts, touched, strict=True)
    ))  # fmt: skip


def write_orders(directory: Path, orders: Orders, shop: Shop) -> None:
    """Write orders, their items and their payments."""
    totals = totals_yen(orders.number, shop).tolist()
    placed = sql_times(orders.placed)
    settle = {"delivered": 3 * DAY, "shipped": DAY, "cancelled": DAY // 2}
    changed = np.array([settle.get(status, 2000) for status in orders.status], dtype=np.int64)
    updated = sql_times(np.minimum(orders.placed + changed, NOW_MS - 1000))
    ids = orders.id.tolist()
    columns = zip(ids, orders.user.tolist(), orders.status, totals, placed, updated, orders.request, strict=True)
    _put(
        directory,
        "orders",
        (f"{n}\tu-{user}\t{status}\t{yen}\t{at}\t{late}\t{name}" for n, user, status, yen, at, late, name in columns),
    )
    row, product, quantity = baskets(orders.number, shop)
    prices = np.array(shop.prices)[product]
    items = zip(orders.id[row].tolist(), (product + 1).tolist(), quantity.tolist(), prices.tolist(), strict=True)
    _put(
        directory,
        "order_items",
        (f"{n}\t{order}\t{thing}\t{many}\t{yen}" for n, (order, thing, many, yen) in enumerate(items, 1)),
    )
    methods = shop.raw["words"]["payment_methods"]
    payments = zip(ids, orders.status, totals, placed, orders.number.tolist(), strict=True)
    _put(directory, "payments", (
        payment_row(n, order, status, methods[number % len(methods)], yen, at, number)
        for n, (order, status, yen, at, number) in enumerate(payments, start=1)
    ))  # fmt: skip


def payment_row(n: int, order: int, status: str, method: str, yen: int, at: str, number: int) -> str:
    """Return the payment of an order."""
    if status == "payment_failed":
        return f"{n}\t{order}\tdeclined\tcard\t{yen}\t{at}\t{NULL}\tpayment declined by issuer: code=G12"
    paid = "refunded" if status == "cancelled" else "captured"
    return f"{n}\t{order}\t{paid}\t{method}\t{yen}\t{at}\tpay_{number:012x}\t{NULL}"


def write_job_runs(directory: Path, runs: list[JobRun]) -> None:
    """Write the job runs."""
    queued, started, finished = (
        sql_times(np.array([getattr(run, name) for run in runs], dtype=np.int64))
        for name in ("queued", "started", "finished")
    )
    _put(directory, "job_runs", (
        f"{run.id}\t{run.job}\t{run.status}\t{a}\t{NULL if run.status == 'queued' else b}\t"
        f"{NULL if run.status in ('queued', 'running') else c}\t{run.attempt}\t{run.request or NULL}\t"
        f"{run.error or NULL}\t{run.detail}"
        for run, a, b, c in zip(runs, queued, started, finished, strict=True)
    ))  # fmt: skip
