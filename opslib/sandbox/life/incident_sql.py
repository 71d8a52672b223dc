"""The rows of an incident as SQL over the base life's tables."""

from collections.abc import Mapping, Sequence

from opslib.sandbox.life.audit import COLUMNS, AuditRow
from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.rhythm import iso
from opslib.sandbox.life.shop import Shop
from opslib.sandbox.life.traffic import Request, basket, total_yen

JOB_COLUMNS = (
    "id", "job_name", "status", "queued_at", "started_at", "finished_at", "attempt", "request_id", "error", "detail",
)  # fmt: skip


def literal(value: object) -> str:
    """Return a value as SQL writes it."""
    if value is None or value == r"\N":
        return "null"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def insert(table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return one statement that inserts the rows, or none."""
    if not rows:
        return []
    values = ",\n".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
    return [f"insert into {table} ({', '.join(columns)}) values\n{values}"]


def _where(column: str, values: Sequence[object]) -> str:
    return f"{column} in ({', '.join(map(literal, values))})"


def without(ids: Sequence[str]) -> list[str]:
    """Return what takes requests that never arrived out of the tables."""
    if not ids:
        return []
    orders = f"(select id from orders where {_where('request_id', ids)})"
    sql = [f"delete from {table} where order_id in {orders}" for table in ("order_items", "payments")]
    return sql + [
        f"delete from {table} where {_where('request_id', ids)}" for table in ("orders", "job_runs", "audit_logs")
    ]


def statements(
    requests: Sequence[Request],
    before: Mapping[str, Request],
    runs: Mapping[str, JobRun],
    audit: Sequence[tuple[int, AuditRow]],
    shop: Shop,
) -> list[str]:
    """Return what makes the tables agree with these requests, which replace those of the base life."""
    ids = [request.id for request in requests]
    sql = [
        f"delete from job_runs where {_where('request_id', ids)}",
        f"delete from audit_logs where {_where('request_id', ids)}",
    ]
    sql += _jobs([runs[name] for name in ids if name in runs])
    sql += insert("audit_logs", COLUMNS, [(number, iso(at), *text.split("\t")) for number, (at, text) in audit])
    failed = [request for request in requests if request.failure and request.order]
    known = [request.id for request in requests if request.id in before and before[request.id].order]
    sql += _failed_orders([request for request in failed if request.id in known], shop)
    sql += _new_orders([request for request in failed if request.id not in known], shop)
    return sql + _sequences()


def clock_jobs(runs: Sequence[JobRun]) -> list[str]:
    """Return what inserts runs of jobs of the clock."""
    return _jobs(runs)


def _jobs(runs: Sequence[JobRun]) -> list[str]:
    rows = []
    for run in runs:
        started = None if run.status == "queued" else iso(run.started)
        finished = iso(run.finished) if run.status in ("succeeded", "failed") else None
        times = (iso(run.queued), started, finished)
        rows.append(
            (run.id, run.job, run.status, *times, run.attempt, run.request or None, run.error or None, run.detail)
        )
    return insert("job_runs", JOB_COLUMNS, rows)


def _failed_orders(requests: Sequence[Request], shop: Shop) -> list[str]:
    sql = []
    for request in requests:
        failure = shop.failures[request.failure]
        sql.append(
            f"update orders set status = {literal(failure.order_status)}, updated_at = {literal(iso(request.end))} "
            f"where id = {request.order}"
        )
        sql.append(
            "update payments set status = 'failed', provider_ref = null, "
            f"error = {literal(_payment_error(request))} where order_id = {request.order}"
        )
    return sql


def _payment_error(request: Request) -> str:
    return f"not charged: {request.failure} on {request.extra.get('relation', 'checkout')}"


def _new_orders(requests: Sequence[Request], shop: Shop) -> list[str]:
    orders, items, payments = [], [], []
    methods = shop.raw["words"]["payment_methods"]
    for request in requests:
        number, yen = request.number, total_yen(request.number, shop)
        status = shop.failures[request.failure].order_status
        orders.append((request.order, request.user, status, yen, iso(request.start), iso(request.end), request.id))
        items += [(request.order, product + 1, many, shop.prices[product]) for product, many in basket(number, shop)]
        payments.append(
            (request.order, "failed", methods[number % len(methods)], yen, iso(request.start), _payment_error(request))
        )
    return [
        *insert("orders", ("id", "user_id", "status", "total_yen", "placed_at", "updated_at", "request_id"), orders),
        *insert("order_items", ("order_id", "product_id", "quantity", "unit_price_yen"), items),
        *insert("payments", ("order_id", "status", "method", "amount_yen", "created_at", "error"), payments),
    ]


def _sequences() -> list[str]:
    return [
        f"select setval(pg_get_serial_sequence('{table}', 'id'), (select max(id) from {table}))"
        for table in ("orders", "job_runs", "audit_logs")
    ]
