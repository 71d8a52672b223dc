"""The table audit_logs and the group /shop/audit: 120 days of rows, of which the last 8 are lines as well."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from opslib.sandbox.life.history import Past, totals_yen
from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.log_lines import LogLine, quoted
from opslib.sandbox.life.rhythm import AUDIT_LOG_START, NOW_MS, Ints, iso, sql_times
from opslib.sandbox.life.shop import Shop
from opslib.sandbox.life.staff import StaffAction
from opslib.sandbox.life.traffic import Request, agent_of, basket, network_of, total_yen

AuditRow = tuple[int, str]  # epoch ms, the columns after `at` as COPY reads them
STREAMS = ("audit/0f6b21c49d3a", "audit/93d07be5512c")
CHUNK = 100_000
COLUMNS = (
    "id", "at", "actor", "actor_type", "action", "target_type", "target_id", "ip", "user_agent", "outcome",
    "request_id", "detail",
)  # fmt: skip


def audit_row(at: int, *columns: str) -> AuditRow:
    """Return a row from actor, actor_type, action, ... detail."""
    return at, "\t".join(columns)


def _detail(action: str, number: int, yen: int) -> str:
    if action == "order.place":
        return f'{{"items": {(1, 2, 3, 1)[number & 3]}, "total_yen": {yen}}}'
    if action == "cart.add":
        return f'{{"quantity": {1 + (number >> 30 & 1)}}}'
    return '{"method": "password"}' if action == "session.login" else "{}"


def _target(kind: str, user: str, order: int, sku: str) -> str:
    return user if kind == "user" else sku if kind == "product" else str(order) if order else r"\N"


def request_row(request: Request, shop: Shop) -> AuditRow | None:
    """Return the audit row that a request leaves, if it leaves one."""
    route = shop.routes[request.route]
    if not route.audit or not request.user:
        return None
    if "act" in request.extra:
        return _staff_row(request.extra["act"], request.end)
    number, user = request.number, int(request.user[2:])
    target = _target(route.target, request.user, request.order, shop.skus[basket(number, shop)[0][0]])
    detail = _detail(route.audit, number, total_yen(number, shop))
    outcome = "failure" if request.failure else "success"
    return audit_row(
        request.end, request.user, "user", route.audit, route.target, target, network_of(user, shop),
        agent_of(user, shop), outcome, request.id, detail,
    )  # fmt: skip


def _staff_row(act: StaffAction, at: int) -> AuditRow:
    return audit_row(
        at, act.actor, "staff", act.action, act.target_type, act.target, act.ip, act.agent, "success", act.request, "{}"
    )


def _job_row(run: JobRun, shop: Shop) -> AuditRow:
    ip = f"{shop.raw['networks']['batch']}{sum(run.job.encode()) % 200 + 10}"
    outcome = "success" if run.status == "succeeded" else "failure"
    agent = shop.raw["agents"]["system"]
    return audit_row(
        run.finished, f"batch:{run.job}", "system", "job.run", "job_run", str(run.id), ip, agent, outcome, r"\N", "{}"
    )


def other_rows(
    requests: Iterable[Request], actions: Iterable[StaffAction], runs: Iterable[JobRun], shop: Shop
) -> list[AuditRow]:
    """Return the rows that are not the past of customers, oldest first."""
    recent = {request.id for request in requests}
    rows = [row for request in requests if (row := request_row(request, shop))]
    rows += [_staff_row(act, act.at) for act in actions if act.request not in recent]
    finished = ("succeeded", "failed")
    rows += [_job_row(run, shop) for run in runs if not run.request and run.status in finished]
    return sorted(row for row in rows if row[0] < NOW_MS)


def past_rows(past: Past, first: int, last: int, shop: Shop) -> list[AuditRow]:
    """Return the rows [first:last) of what customers did before the kept logs."""
    base, size = shop.raw["shop"]["first_user"], shop.raw["shop"]["users"]
    networks = [network_of(user, shop) for user in range(base, base + size)]
    agents = [agent_of(user, shop) for user in range(base, base + size)]
    kinds = [(route.audit, route.target) for route in past.routes]
    number = past.number[first:last]
    first_product = ((number >> 8) % len(shop.skus)).tolist()
    columns = zip(
        past.at[first:last].tolist(), past.route[first:last].tolist(), past.user[first:last].tolist(), number.tolist(),
        past.succeeded[first:last].tolist(), past.order[first:last].tolist(), first_product,
        totals_yen(number, shop).tolist(), range(12 * first, 12 * last, 12), strict=True,
    )  # fmt: skip
    rows = []
    for at, kind, user, small, good, order, product, yen, digit in columns:
        action, what = kinds[kind]
        target = _target(what, f"u-{user}", order, shop.skus[product])
        rows.append((at,
            f"u-{user}\tuser\t{action}\t{what}\t{target}\t{networks[user - base]}\t{agents[user - base]}\t"
            f"{'success' if good else 'failure'}\treq-{past.ids[digit : digit + 12]}\t{_detail(action, small, yen)}",
        ))  # fmt: skip
    return rows


def write(path: Path, past: Past, others: list[AuditRow], shop: Shop, traces: dict[str, str]) -> Iterator[LogLine]:
    """Write the table in the order of time, and yield the lines of its last 8 days."""
    number, used = 0, 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for first in range(0, max(1, len(past.at)), CHUNK):
            last = min(first + CHUNK, len(past.at))
            rows = past_rows(past, first, last, shop)
            until = rows[-1][0] if last < len(past.at) else NOW_MS
            upto = used
            while upto < len(others) and others[upto][0] <= until:
                upto += 1
            rows = sorted(rows + others[used:upto], key=lambda row: row[0])
            used = upto
            at: Ints = np.array([row[0] for row in rows], dtype=np.int64)
            named = enumerate(zip(sql_times(at), rows, strict=True), start=number + 1)
            file.write("".join([f"{n}\t{text}\t{row[1]}\n" for n, (text, row) in named]))
            for place in range(int(np.searchsorted(at, AUDIT_LOG_START)), len(rows)):
                yield audit_line(number + 1 + place, rows[place], traces)
            number += len(rows)


def audit_line(number: int, row: AuditRow, traces: dict[str, str]) -> LogLine:
    """Return the line of an audit row."""
    at, text = row
    actor, kind, action, what, target, ip, agent, outcome, request, detail = text.split("\t")
    ids = ""
    if request != r"\N":
        trace = traces.get(request) or Request(at, "", "", request, 0).trace
        ids = f'"request_id":"{request}","trace_id":"{trace}",' + (f'"user_id":"{actor}",' if kind != "system" else "")
    level = "info" if outcome == "success" else "warn"
    where = f'"target_type":"{what}",' + (f'"target_id":"{target}",' if target != r"\N" else "")
    line = (
        f'{{"time":"{iso(at)}","level":"{level}","service":"audit",{ids}"audit_id":{number},"actor":"{actor}",'
        f'"actor_type":"{kind}","action":"{action}",{where}"ip":"{ip}","user_agent":"{quoted(agent)}",'
        f'"outcome":"{outcome}","detail":{detail},"message":"{action} by {actor}: {outcome}"}}'
    )
    return "/shop/audit", at, STREAMS[number & 1], line
