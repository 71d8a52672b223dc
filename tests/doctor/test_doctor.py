"""doctor: each thing broken on purpose is named with what mends it, and the runbooks that it takes along."""

from collections.abc import Iterator

import psycopg
import pytest
from click.testing import CliRunner

from opslib import aws, config
from opslib.cli_account import doctor
from opslib.doctor import examination, resources
from opslib.doctor.examination import NOT, PARTLY, WORKS
from opslib.doctor.findings import Finding
from opslib.sandbox.control import Sandbox
from opslib.sources import rds
from tests.doctor.strange_account import NAME, PASSWORD, Strange

Examined = dict[str, examination.Examination]


def named(examined: examination.Examination, what: str) -> Finding:
    found = [finding for finding in examined.findings if what in finding.what]
    assert found, f"{what!r} is not among {[finding.what for finding in examined.findings]}"
    return found[0]


def state(examined: examination.Examination, runbook: str) -> str:
    return next(outlook.state for outlook in examined.outlooks if outlook.name.endswith(runbook))


@pytest.fixture(scope="module")
def shared() -> Examined:
    """Examinations that several tests read: one takes seconds."""
    return {}


def test_a_sound_account_works_and_nothing_is_changed(strange: Strange) -> None:
    strange.sandbox.clear_calls()
    examined = strange.examined()
    assert examined.exit_code == 0 and {outlook.state for outlook in examined.outlooks} == {WORKS}
    assert {finding.kind for finding in examined.findings} <= {"weak"}
    assert not [action for action in examined.untried if action.startswith(("logs:", "rds:", "cloudwatch:"))]
    text = examination.text(config.load(NAME), examined)
    assert "works" in text and "account 000000000000" in text
    called = {call["operation"] for call in strange.sandbox.calls()}
    assert called and all(
        name.startswith(("Describe", "List", "Get", "Filter", "StartQuery", "StopQuery")) for name in called
    )


WRONG = [
    ('log_groups = ["/shop/*"]', 'log_groups = ["/shop/*", "/nowhere/*"]', "no log group matches /nowhere/*", "aws logs describe-log-groups"),
    ('names = ["api", ', 'names = ["ghost", "api", ', "service ghost: MISSING", "aws ecs list-services --cluster shop"),
    ('replicas = ["shop-db-replica-1"]', 'replicas = ["shop-db-replica-9"]', "instance shop-db-replica-9 does not exist", "describe-db-instances"),
    ('"shop-cache-002"]', '"shop-cache-009"]', "cache node shop-cache-009", "aws elasticache describe-cache-clusters"),
    ('distribution = "E2SHOPEXAMPLE1"', 'distribution = "E2NOSUCH"', "cloudfront:GetDistribution: what opslib.toml names", "correct the name"),
    ('name = "app/shop-web/50dc', 'name = "app/shop-web/0000', "load balancer app/shop-web/00006c495c0c9188 does not exist", "aws elbv2 describe-load-balancers"),
    ('clock = "frozen"\n', "", "this machine's clock is", "timedatectl set-ntp true"),
    ('[env.shop.frontend]\napp = "d2shopexample"\nbranch = "main"\nsite = "https://main.d2shopexample.amplifyapp.com/"\n', "", "opslib.toml names no frontend", "opslib init --name shop-found --to"),
    ("replica_port = ", "replica_port = 1#", "the replica does not answer", "aws ssm start-session"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "mend"), [row[2:] for row in WRONG])
def test_what_the_file_says_wrongly_is_named(strange: Strange, shared: Examined, what: str, mend: str) -> None:
    if "wrong" not in shared:
        text = strange.reachable()
        for right, wrong, *_ in WRONG:
            assert right in text, right
            text = text.replace(right, wrong)
        shared["wrong"] = strange.examined(text)
    assert mend in named(shared["wrong"], what).mend


@pytest.fixture(scope="module")
def damaged(account: Sandbox) -> Iterator[None]:
    """Grants revoked, an index and an extension dropped, a retention taken away; put back at the end."""
    ways = {
        "revoke select on audit_logs from ops_reader": "grant select on audit_logs to ops_reader",
        "revoke pg_monitor from ops_reader": "grant pg_monitor to ops_reader",
        "drop index audit_logs_at_idx": "create index audit_logs_at_idx on audit_logs (at)",
        "drop extension pg_stat_statements": "create extension pg_stat_statements",
    }
    logs = account.client("logs")
    with psycopg.connect(**account.postgres_dsn("postgres"), autocommit=True) as connection:
        for breaking in ways:
            connection.execute(breaking)  # type: ignore[call-overload]
        logs.delete_retention_policy(logGroupName="/shop/web")
        yield
        for mending in ways.values():
            connection.execute(mending)  # type: ignore[call-overload]
        logs.put_retention_policy(logGroupName="/shop/web", retentionInDays=30)


DAMAGE = [
    ("may not read audit_logs", "grant select on audit_logs to ops_reader;"),
    ("does not see others' sessions", "grant pg_monitor to ops_reader;"),
    ("no index of audit_logs begins with at", "create index concurrently on audit_logs (at);"),
    ("pg_stat_statements is not installed", "create extension pg_stat_statements"),
    ("log group /shop/web keeps its lines for ever", "put-retention-policy --log-group-name /shop/web --retention-in-days 90"),
    ("logs:StartQuery is denied", '{"Effect": "Allow", "Action": "logs:StartQuery", "Resource": "*"}'),
]  # fmt: skip


@pytest.mark.parametrize(("what", "mend"), DAMAGE)
def test_damage_is_named_with_its_remedy(
    strange: Strange, damaged: None, shared: Examined, what: str, mend: str
) -> None:
    if "damaged" not in shared:
        strange.sandbox.fault(service="logs", operation="StartQuery", kind="access-denied")
        shared["damaged"] = strange.examined()
    examined = shared["damaged"]
    assert mend in named(examined, what).mend
    assert state(examined, "who-did-what") == PARTLY and examined.exit_code == 2


def test_no_route_prints_the_port_forward(strange: Strange) -> None:
    examined = strange.examined(strange.reachable().replace("\nport = ", "\nport = 1#"))
    mend = named(examined, "no way to the database").mend
    assert "AWS-StartPortForwardingSessionToRemoteHost" in mend and "shop-db.c9example" in mend and "hostaddr" in mend
    assert state(examined, "failed-jobs") == PARTLY


def test_an_empty_password_variable_is_named(strange: Strange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD)
    assert f"export {PASSWORD}" in named(strange.examined(), PASSWORD).mend


def test_an_expired_login_takes_everything(strange: Strange) -> None:
    strange.sandbox.fault(service="sts", kind="expired-token")
    examined = strange.examined()
    assert "aws sso login --profile opslib-sandbox" in named(examined, "have expired").mend
    assert examined.exit_code == 1 and {outlook.state for outlook in examined.outlooks} == {NOT}


def test_the_command_says_it_and_exits_accordingly(strange: Strange) -> None:
    strange.file.write_text(strange.reachable())
    strange.sandbox.fault(service="sts", kind="expired-token")
    aws.forget()
    done = CliRunner().invoke(doctor, ["--env", NAME])
    assert done.exit_code == 1 and "not at all  2-investigate/failed-jobs" in done.output
    assert "do:   aws sso login --profile opslib-sandbox" in done.output and done.output.endswith("1 finding\n")


def test_a_wrong_account_is_refused(strange: Strange) -> None:
    examined = strange.examined(strange.reachable().replace('account = "000000000000"', 'account = "111111111111"'))
    assert "choose another profile" in named(examined, "account 000000000000 is not 111111111111").mend
    assert examined.exit_code == 1


def test_fields_that_no_line_has_are_named(strange: Strange) -> None:
    examined = strange.examined(strange.reachable().replace('"/shop/*"', '"/shop/notifier"'))
    assert "write lines as JSON" in named(examined, "no log line of the last hour has route").mend


def test_performance_insights_off_is_named(strange: Strange) -> None:
    strange.file.write_text(strange.reachable())
    told = rds.instances(config.load(NAME))
    assert resources.insights_off(told) == []
    found = resources.insights_off(told.assign(insights="off"))
    assert "modify-db-instance --db-instance-identifier shop-db --enable-performance-insights" in found[0].mend
