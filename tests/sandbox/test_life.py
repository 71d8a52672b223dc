"""The shop's life: the same bytes everywhere, and logs, metrics and tables that agree with each other."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opslib.sandbox import life
from opslib.sandbox.life.shop import GROUPS, shop
from opslib.sandbox.log_store import LogStore

SCALE = 0.02
PLANTED = "req-5f0c2e9ab714"
ALB = (("LoadBalancer", "app/shop-web/50dc6c495c0c9188"),)
SINCE = datetime.fromisoformat("2026-11-05T02:02:00Z").timestamp() * 1000


def digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("life")
    life.build(directory, scale=SCALE)
    return directory


@pytest.fixture(scope="module")
def base(built: Path) -> life.Life:
    return life.load(built)


@pytest.fixture(scope="module")
def overlay(built: Path) -> life.Overlay:
    return life.overlay("checkout-locks", built)


@pytest.fixture(scope="module")
def broken(base: life.Life, overlay: life.Overlay) -> life.Life:
    return life.apply(base, overlay)


@pytest.fixture(scope="module", params=["quiet-day", "checkout-locks", "job-bad-data", "credential-stuffing"])
def any_life(request: pytest.FixtureRequest, base: life.Life, built: Path) -> life.Life:
    return life.apply(base, life.overlay(request.param, built))


def rows_of(directory: Path, table: str) -> list[list[str]]:
    text = (directory / "tables" / f"{table}.copy").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


def records(group: life.GroupLog) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, message in zip(group.timestamps, group.messages, strict=True):
        if message.startswith("{"):
            yield at, json.loads(message)


def test_a_second_build_elsewhere_gives_equal_bytes(built: Path, tmp_path: Path) -> None:
    code = f"import sys; from pathlib import Path; from opslib.sandbox import life; life.build(Path(sys.argv[1]), scale={SCALE})"
    elsewhere = {**os.environ, "TZ": "America/New_York", "PYTHONHASHSEED": "4127", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], env=elsewhere, check=True)
    assert digests(tmp_path / "again") == digests(built)
    assert len(digests(built)) == 4 + 1 + len(life.TABLES)


def test_an_overlay_is_the_same_each_time(built: Path, overlay: life.Overlay) -> None:
    again = life.overlay("checkout-locks", built)
    assert (again.lines, again.sql, again.planted) == (overlay.lines, overlay.sql, overlay.planted)


def test_the_groups_span_their_hours_in_order(base: life.Life) -> None:
    assert tuple(base.logs) == GROUPS
    for name, group in base.logs.items():
        times = np.array(group.timestamps)
        assert (np.diff(times) >= 0).all() and times[-1] < life.NOW_MS
        hours = 8 * 24 if name == "/shop/audit" else 26
        assert life.NOW_MS - hours * 3_600_000 - 1000 <= times[0]
        assert len(group.messages) == len(group.stream_of) == len(times)
        assert max(group.stream_of) < len(group.streams)


def test_a_json_line_is_dated_as_its_event(any_life: life.Life) -> None:
    for group in any_life.logs.values():
        for at, record in records(group):
            assert datetime.fromisoformat(record["time"]).timestamp() * 1000 == pytest.approx(at, abs=0.5)


def test_all_lines_of_a_request_share_its_ids(any_life: life.Life) -> None:
    traces: dict[str, set[str]] = {}
    users: dict[str, set[str]] = {}
    services: dict[str, set[str]] = {}
    for name, group in any_life.logs.items():
        for _, record in records(group):
            if "request_id" in record and (name != "/shop/audit" or record["request_id"] in traces):
                traces.setdefault(record["request_id"], set()).add(record["trace_id"])
                users.setdefault(record["request_id"], set()).add(record.get("user_id", ""))
                services.setdefault(record["request_id"], set()).add(record["service"])
    assert len(traces) > 900
    assert {len(found) for found in traces.values()} == {1}
    assert {len(found) for found in users.values()} == {1}
    assert sum(len(found) >= 2 for found in services.values()) > 0.9 * len(services)


def test_an_ordinary_order_passes_the_services_in_the_order_of_their_work(base: life.Life) -> None:
    found: dict[str, list[tuple[int, str]]] = {}
    for name, group in base.logs.items():
        for at, record in records(group):
            if name != "/shop/audit" and record.get("request_id"):
                found.setdefault(record["request_id"], []).append((at, record["message"]))
    orders = [
        sorted(lines) for lines in found.values() if any("ご注文ありがとうございます" in text for _, text in lines)
    ]
    assert orders
    for lines in orders:
        told = [text.split(":")[0].split(" ")[0] for _, text in lines if not text.startswith("attempt")]
        assert told[:3] == ["request", "session", "cart"]
        assert told[-1].startswith("メールを送信しました")
        assert told.index("job") < len(told) - 2


def minutes_of_5xx(group: life.GroupLog) -> Counter[int]:
    return Counter(at // 60_000 * 60 for at, record in records(group) if record.get("status", 0) >= 500)


def test_5xx_lines_are_the_load_balancers_5xx_minute_by_minute(any_life: life.Life) -> None:
    series = any_life.metrics["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", ALB]
    recent = series.period == 60
    points = dict(zip(series.timestamps[recent].tolist(), series.sum[recent].tolist(), strict=True))
    assert points == minutes_of_5xx(any_life.logs["/shop/web"])


def test_completed_requests_are_the_load_balancers_requests(any_life: life.Life) -> None:
    lines = [(at, record) for at, record in records(any_life.logs["/shop/web"]) if "status" in record]
    ended = [record for _, record in lines]
    requests = any_life.metrics["AWS/ApplicationELB", "RequestCount", ALB]
    latency = any_life.metrics["AWS/ApplicationELB", "TargetResponseTime", ALB]
    recent = requests.period == 60
    points = dict(zip(requests.timestamps[recent].tolist(), requests.sum[recent].tolist(), strict=True))
    assert points == Counter(at // 60_000 * 60 for at, _ in lines)
    assert latency.sum[latency.period == 60].sum() == pytest.approx(
        sum(record["duration_ms"] for record in ended) / 1000
    )


def test_failed_jobs_are_equal_in_logs_and_metrics(any_life: life.Life) -> None:
    lines = [
        record["message"]
        for name in ("/shop/worker", "/shop/batch")
        for _, record in records(any_life.logs[name])
        if record["message"].startswith(("job failed for good", "job failed:"))
    ]
    series = any_life.metrics["Shop/Jobs", "JobsFailed", ()]
    assert series.sum[series.period == 60].sum() == len(lines)


def test_audit_rows_are_audit_lines(built: Path, base: life.Life) -> None:
    rows = rows_of(built, "audit_logs")
    assert len(rows) == 1_000_000 * SCALE
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    times = [row[1] for row in rows]
    assert times == sorted(times)
    recent = [row for row in rows if datetime.fromisoformat(row[1]).timestamp() * 1000 >= life.NOW_MS - 8 * 86_400_000]
    lines = [record for _, record in records(base.logs["/shop/audit"])]
    expected = [(int(row[0]), row[2], row[4], row[9], row[10].replace(r"\N", "")) for row in recent]
    assert [
        (line["audit_id"], line["actor"], line["action"], line["outcome"], line.get("request_id", "")) for line in lines
    ] == expected


def test_an_audit_line_knows_how_its_request_ended(any_life: life.Life) -> None:
    ended = {record["request_id"]: record for _, record in records(any_life.logs["/shop/web"]) if "status" in record}
    seen = Counter[str]()
    for at, line in records(any_life.logs["/shop/audit"]):
        request = ended.get(line.get("request_id", ""))
        if request:
            assert line["outcome"] == ("failure" if request["status"] >= 400 else "success")
            assert at == datetime.fromisoformat(request["time"]).timestamp() * 1000
            seen[line["outcome"]] += 1
    assert seen["success"] > 50 and seen["failure"] >= 3


def test_job_rows_are_the_lines_of_batch_and_worker(built: Path, base: life.Life) -> None:
    rows = {int(row[0]): row for row in rows_of(built, "job_runs")}
    ended = [
        record
        for name in ("/shop/worker", "/shop/batch")
        for _, record in records(base.logs[name])
        if record["message"].startswith(("job succeeded", "job failed"))
    ]
    assert len(ended) > 30
    enqueued = [record for _, record in records(base.logs["/shop/api"]) if "job" in record]
    assert enqueued and all(rows[record["job"]["id"]][7] == record["request_id"] for record in enqueued)
    for record in ended:
        row = rows[record["job"]["id"]]
        assert row[1] == record["job"]["name"]
        assert row[2] == ("failed" if record["message"].startswith("job failed") else "succeeded")
        assert row[7] == record.get("request_id", r"\N")


def test_orders_have_items_that_add_up_and_a_payment(built: Path) -> None:
    items: Counter[str] = Counter()
    for _, order, _, quantity, price in rows_of(built, "order_items"):
        items[order] += int(quantity) * int(price)
    orders = rows_of(built, "orders")
    assert {row[0]: int(row[3]) for row in orders} == dict(items)
    assert [row[1] for row in rows_of(built, "payments")] == [row[0] for row in orders]
    audited = {row[6]: row[10] for row in rows_of(built, "audit_logs") if row[4] == "order.place" and row[6] != r"\N"}
    assert {row[0]: row[6] for row in orders} == audited


def test_the_week_has_its_shape(built: Path) -> None:
    """Customers come in the evening and on weekends, staff on working days."""
    customers, staff = Counter[int](), Counter[int]()
    evening, night = 0, 0
    for row in rows_of(built, "audit_logs"):
        at = datetime.fromisoformat(row[1]) + timedelta(hours=9)
        if row[3] == "user":
            customers[at.weekday()] += 1
            evening += at.hour == 21
            night += at.hour == 4
        elif row[3] == "staff":
            staff[at.weekday()] += 1
    assert evening > 8 * night
    assert customers[5] > 1.05 * customers[1]
    assert staff[2] > 3 * staff[6]


def test_every_language_leaves_stack_traces_and_plain_lines(broken: life.Life) -> None:
    kinds, plain = set(), 0
    for group in broken.logs.values():
        plain += sum(not message.startswith("{") for message in group.messages)
        for _, record in records(group):
            if "error" in record:
                kinds.add(record["error"].get("stack", "").partition("\n")[0].split(":")[0].split(" ")[0])
    assert "Traceback" in kinds
    assert plain >= 3
    stacks = [failure.stack for failure in shop().failures.values()]
    stacks += [job["stack"] for job in shop().raw["worker_jobs"].values()]
    assert all(stack.strip().count("\n") >= 2 for stack in stacks if stack)
    assert any(".tsx:" in stack for stack in stacks) and any(".java:" in stack for stack in stacks)


def planted_lines(world: life.Life) -> list[tuple[int, str, dict[str, Any]]]:
    found = [
        (at, name, record)
        for name, group in world.logs.items()
        for at, record in records(group)
        if record.get("request_id") == PLANTED
    ]
    return sorted(found, key=lambda line: line[0])


def test_the_planted_request_fails_as_it_should(broken: life.Life, overlay: life.Overlay) -> None:
    lines = planted_lines(broken)
    assert overlay.planted["request_id"] == PLANTED
    assert {name for _, name, _ in lines} == {"/shop/web", "/shop/auth", "/shop/api", "/shop/worker", "/shop/audit"}
    end = next(record for _, _, record in lines if "status" in record)
    assert (end["status"], end["duration_ms"], end["route"], end["method"]) == (500, 4812, "/checkout", "POST")
    assert end["user_id"] == "u-10482"
    error = next(record for _, _, record in lines if "error" in record)
    assert error["service"] == "api" and error["error"]["kind"] == "LockTimeout"
    assert error["wait"] == {"for": "row lock on stock", "ms": 4300, "pid": 4127}
    assert "blocked by process 4127" in error["error"]["stack"]
    gaps = np.diff([at for at, _, _ in lines])
    assert (gaps > 4000).sum() == 1 and gaps[gaps <= 4000].max() < 2000


def test_one_clock_is_late_in_the_planted_request(broken: life.Life) -> None:
    lines = planted_lines(broken)
    received = next(at for at, _, record in lines if record["message"] == "request received")
    verified = next(at for at, name, _ in lines if name == "/shop/auth")
    assert 0 < received - verified < 120
    assert lines[0][1] == "/shop/auth"


def test_the_planted_request_has_its_rows(overlay: life.Overlay) -> None:
    inserted = {sql.split()[2]: sql for sql in overlay.sql if sql.startswith("insert") and PLANTED in sql}
    assert sorted(inserted) == ["audit_logs", "job_runs", "orders"]
    job = next(line for line in inserted["job_runs"].splitlines() if PLANTED in line)
    assert "'stock-release', 'failed'" in job and "pid 4127" in job


def test_the_rows_of_the_incident_are_its_lines(overlay: life.Overlay) -> None:
    statements = {sql.split()[2]: sql.splitlines()[1:] for sql in overlay.sql if sql.startswith("insert")}
    lines = [json.loads(text) for group, _, _, text in overlay.lines if group == "/shop/audit"]
    rows = [row for row in statements["audit_logs"] if any(f"'{line['request_id']}'" in row for line in lines)]
    assert len(rows) == len(statements["audit_logs"]) == len(lines) == len(overlay.dropped)
    lost = [json.loads(text) for _, _, _, text in overlay.lines if '"message":"job failed for good' in text]
    failed = [row for row in statements["job_runs"] if "'failed'" in row]
    assert sorted(line["job"]["id"] for line in lost) == sorted(int(row[1:].split(",")[0]) for row in failed)
    timeouts = [text for _, _, _, text in overlay.lines if '"kind":"LockTimeout"' in text]
    orders = len(statements["orders"]) + sum(
        sql.startswith("update orders set status = 'failed'") for sql in overlay.sql
    )
    assert len(timeouts) == orders


def test_checkouts_fail_from_two_past_the_deploy(base: life.Life, broken: life.Life) -> None:
    def failed(world: life.Life) -> list[int]:
        return [
            at
            for at, record in records(world.logs["/shop/api"])
            if record.get("error", {}).get("kind") == "LockTimeout"
        ]

    assert failed(base) == []
    assert failed(broken) and min(failed(broken)) >= SINCE
    assert broken.events["deploys"][-1]["finished"] == "2026-11-05T02:01:00.000Z"
    assert broken.events["deploys"][-1]["service"] == "api"


def test_the_incident_shows_in_the_database_metrics(base: life.Life, broken: life.Life) -> None:
    for name, least in (("DBLoad", 10.0), ("DatabaseConnections", 90.0)):
        key = ("AWS/RDS", name, (("DBInstanceIdentifier", "shop-db"),))
        before, after = base.metrics[key], broken.metrics[key]
        assert (after.sum[:-39] == before.sum[:-39]).all()
        assert after.sum[-20:].mean() - before.sum[-20:].mean() >= least


def test_a_deploy_brings_new_tasks(broken: life.Life) -> None:
    group = broken.logs["/shop/api"]
    deploy = datetime.fromisoformat("2026-11-05T02:01:00Z").timestamp() * 1000
    old = {group.streams[number] for at, number in zip(group.timestamps, group.stream_of, strict=True) if at < deploy}
    new = {group.streams[number] for at, number in zip(group.timestamps, group.stream_of, strict=True) if at >= deploy}
    assert new and not old & new


def test_a_quiet_day_changes_nothing(built: Path, base: life.Life) -> None:
    quiet = life.overlay("quiet-day", built)
    assert (quiet.sql, quiet.lines, quiet.planted) == ([], [], {})
    after = life.apply(base, quiet)
    assert all(after.logs[name].messages == group.messages for name, group in base.logs.items())


def test_a_group_knows_its_bytes_and_is_copied_when_somebody_writes(broken: life.Life) -> None:
    for group in broken.logs.values():
        assert group.message_bytes == sum(len(message.encode()) for message in group.messages)
    store, before = LogStore("ap-northeast-1"), {name: len(log.messages) for name, log in broken.logs.items()}
    store.seed(broken.logs)
    store.add("/shop/api", "new", [(life.NOW_MS, "注文")])
    told, seeded = store.groups["/shop/api"], broken.logs["/shop/api"]
    assert told.messages == [*seeded.messages, "注文"] and len(told.sequences) == len(told.messages)
    assert told.stored_bytes == seeded.message_bytes + 6 + 26 * len(told.messages)
    assert {name: len(log.messages) for name, log in broken.logs.items()} == before  # another sandbox may read them
    for stream in told.streams:
        of_stream = [at for at, n in zip(told.timestamps, told.stream_of, strict=True) if told.streams[n] is stream]
        if of_stream:
            assert (stream.first, stream.last) == (of_stream[0], of_stream[-1])


def test_an_unknown_scenario_is_refused(built: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no scenario 'no-such'; there are .*checkout-locks"):
        life.overlay("no-such", built)


def test_a_percentile_of_several_points_is_weighted(broken: life.Life) -> None:
    series = broken.metrics["AWS/ApplicationELB", "TargetResponseTime", ALB]
    assert series.percentile(0, 1, 0.5) == pytest.approx(float(series.quantiles[0][3]))
    assert series.percentile(len(series.count) - 30, len(series.count), 1.0) <= series.max[-30:].max() + 1e-6
