"""A job that fails on bad data, and passwords that are tried: the same story in logs, metrics and tables."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from opslib.sandbox import life
from opslib.sandbox.life import overlays


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("life")
    life.build(directory, scale=0.02)
    return directory


def overlay(name: str, built: Path) -> overlays.Overlay:
    return life.overlay(name, built)


def rows(made: overlays.Overlay, table: str) -> list[str]:
    return [row for sql in made.sql if sql.startswith(f"insert into {table} ") for row in sql.splitlines()[1:]]


def audit(made: overlays.Overlay) -> list[dict[str, object]]:
    return [json.loads(text) for group, _, _, text in made.lines if group == "/shop/audit"]


def test_the_job_fails_from_the_import_on_and_nothing_of_the_base_remains(built: Path) -> None:
    made = overlay("job-bad-data", built)
    runs = rows(made, "job_runs")
    assert len(runs) == 8 and all("'stock-sync', 'failed'" in row and "row 1187" in row for row in runs)
    assert sorted(int(row.split(", ")[6]) for row in runs) == [1, 1, 1, 2, 2, 2, 3, 3]
    changed = life.apply(life.load(built), made)
    since = datetime.fromisoformat(made.planted["since"]).timestamp() * 1000
    batch = [text for at, text in zip(changed.logs["/shop/batch"].timestamps, changed.logs["/shop/batch"].messages, strict=True)
             if at >= since and '"name":"stock-sync"' in text]  # fmt: skip
    assert len([text for text in batch if "job failed: stock-sync" in text]) == 8 and not [
        text for text in batch if "succeeded" in text
    ]
    series = changed.metrics["Shop/Jobs", "JobsFailed", (("JobName", "stock-sync"),)]
    assert series.sum[series.timestamps >= since / 1000].sum() == 8
    assert (
        [line["action"] for line in audit(made)].count("product.import")
        == 1
        == len([line for line in audit(made) if line["actor"] == "tanaka.yui"])
    )


def test_the_tables_hold_the_failed_runs_in_audit_too(built: Path) -> None:
    made = overlay("job-bad-data", built)
    lines = {line["audit_id"] for line in audit(made)}
    assert lines == {int(row[1:].split(",")[0]) for row in rows(made, "audit_logs")}
    assert any(sql.startswith("delete from audit_logs where actor = 'batch:stock-sync'") for sql in made.sql)


def test_logins_fail_from_many_addresses_of_one_network(built: Path) -> None:
    made = overlay("credential-stuffing", built)
    tried = [line for line in audit(made) if line["action"] == "session.login"]
    failed = [line for line in tried if line["outcome"] == "failure"]
    addresses, users = {str(line["ip"]) for line in failed}, {line["actor"] for line in failed}
    assert len(failed) > 900 and len(addresses) > 150 and len(users) > 800
    assert all(ip.startswith("198.18.") for ip in addresses)
    entered = {line["actor"] for line in tried if line["outcome"] == "success"}
    assert made.planted["user_id"] in entered and len(entered) >= 10
    assert {line["actor"] for line in audit(made) if line["action"] == "profile.update"} <= entered


def test_the_auth_service_works_hard_meanwhile(built: Path) -> None:
    base, made = life.load(built), overlay("credential-stuffing", built)
    key = ("AWS/ECS", "CPUUtilization", (("ClusterName", "shop"), ("ServiceName", "auth")))
    before, now = base.metrics[key], life.apply(base, made).metrics[key]
    assert (now.sum / now.count)[-1] > 2.5 * (before.sum / before.count)[-1]
    assert (
        (now.sum == before.sum) | (now.timestamps >= datetime.fromisoformat(made.planted["since"]).timestamp())
    ).all()
