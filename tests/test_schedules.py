"""[[schedule]]: each mistake is named with its remedy, and the times are right when the clock changes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opslib import config
from opslib.errors import ConfigError
from opslib.schedules import Schedule, schedules

BERLIN, TOKYO = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")
ENVIRONMENTS = """default = "prod"
[env.prod]
account = "012345678901"
region = "ap-northeast-1"
report_bucket = "shop-reports"
slack = { webhook_env = "OPS_SLACK" }
[env.dev]
account = "012345678901"
region = "ap-northeast-1"
"""
ENTRY = """[[schedule]]
notebook = "1-monitor/daily-health"
cron = "0 7 * * *"
deliver = ["slack", "s3"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OPSLIB_ENV", raising=False)
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    return tmp_path / "opslib.toml"


def written(file: Path, *entries: str) -> list[Schedule]:
    file.write_text(ENVIRONMENTS + "".join(entries))
    return schedules(config.load("prod"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_an_entry_has_the_name_of_its_runbook_and_the_default_environment(file: Path) -> None:
    other = ENTRY.replace('cron = "0 7 * * *"\ndeliver = ["slack", "s3"]', 'every = "1h"\nenv = "dev"')
    (found,) = written(file, ENTRY, other)
    assert (found.name, found.env, found.when, found.deliver) == ("daily-health", "prod", "0 7 * * *", ("slack", "s3"))
    assert [one.when for one in schedules(config.load("dev"))] == ["every 1h"]


@pytest.mark.parametrize(
    ("change", "key", "remedy"),
    [
        (('"0 7 * * *"', '"0 7 * *"'), "'cron'", 'for example cron = "0 7 * * 1-5"'),
        (('"0 7 * * *"', '"0 25 * * *"'), "'cron'", "Bad hour"),
        (('"0 7 * * *"', '"0 7 30 2 *"'), "'cron'", "for example"),
        (('cron = "0 7 * * *"', 'every = "7m"'), "'every'", "write 5m, 15m, 1h or 6h"),
        (('cron = "0 7 * * *"', 'every = "1d"'), "'every'", 'cron = "0 7 * * *"'),
        (('cron = "0 7 * * *"', 'every = "often"'), "'every'", "15m"),
        (('cron = "0 7 * * *"', 'cron = "0 7 * * *"\nevery = "1h"'), "either cron or every", 'every = "15m"'),
        (('cron = "0 7 * * *"\n', ""), "either cron or every", 'cron = "0 7 * * *"'),
        (("deliver", "delivers"), "'delivers'", "did you mean 'deliver'?"),
        (('"slack", "s3"', '"slack", "mail"'), "'deliver.1'", "'slack' or 's3'"),
        (('"slack", "s3"]', '"slack"]\nretries = 11'), "'retries'", "less than or equal to 10"),
        (('"slack", "s3"]', '"slack"]\nretry_pause = "soon"'), "'retry_pause'", "15m"),
        (('"slack", "s3"]', '"slack"]\nname = "Daily Health"'), "'name'", "pattern"),
        (('"slack", "s3"]', '"slack"]\nenv = "prd"'), "'env'", "choose one of prod, dev"),
        (('"slack", "s3"]', '"slack"]\nparameters = { window = "2026-11-01 10:00/11:00 JST" }'), "parameters.window", "a span such as 30d"),
        (('notebook = "1-monitor/daily-health"\n', ""), "'notebook'", "add notebook"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(file: Path, change: tuple[str, str], key: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(file, ENTRY.replace(*change))
    said = caught.value.text()
    assert key in said and remedy in said and f"{file}, [[schedule]] 1" in said, said


@pytest.mark.parametrize(
    ("change", "needs"),
    [
        (('report_bucket = "shop-reports"\n', ""), 'add report_bucket = "…" to [env.prod]'),
        (('slack = { webhook_env = "OPS_SLACK" }\n', ""), 'slack = { webhook_file = "…" }'),
    ],
)
def test_a_delivery_needs_a_place(file: Path, change: tuple[str, str], needs: str) -> None:
    file.write_text(ENVIRONMENTS.replace(*change) + ENTRY)
    with pytest.raises(ConfigError, match="'deliver' is wrong") as caught:
        schedules(config.load("prod"))
    assert needs in caught.value.fix


def test_names_are_given_once(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[\[schedule\]\] 2 \(1-monitor/daily-health\): key 'name'"):
        written(file, ENTRY, ENTRY)


def test_an_address_in_the_file_is_refused(file: Path) -> None:
    file.write_text(ENVIRONMENTS.replace('webhook_env = "OPS_SLACK"', 'webhook = "https://hooks.slack.com/services/T/B/x"'))  # fmt: skip
    with pytest.raises(ConfigError, match=r"'slack\.webhook'"):
        config.load("prod")


@pytest.mark.parametrize(
    ("cron", "now", "latest", "following"),
    [
        ("0 7 * * *", "2026-11-05T06:59:59+09:00", "2026-11-04T07:00+09:00", "2026-11-05T07:00+09:00"),
        ("0 7 * * *", "2026-11-05T07:00:00+09:00", "2026-11-05T07:00+09:00", "2026-11-06T07:00+09:00"),
        ("30 6 * * 1", "2026-11-05T12:00:00+09:00", "2026-11-02T06:30+09:00", "2026-11-09T06:30+09:00"),
    ],
)
def test_slots(cron: str, now: str, latest: str, following: str) -> None:
    one = Schedule(notebook="a/b", cron=cron)
    assert (one.latest(at(now), TOKYO), one.following(at(now), TOKYO)) == (at(latest), at(following))


@pytest.mark.parametrize(
    ("now", "latest"),
    [
        ("2026-03-29T12:00+02:00", "2026-03-29T01:00+00:00"),  # 02:30 does not exist: at 03:00
        ("2026-10-25T00:20+00:00", "2026-10-24T00:30+00:00"),
        ("2026-10-25T00:40+00:00", "2026-10-25T00:30+00:00"),  # 02:30 in summer time
        ("2026-10-25T01:10+00:00", "2026-10-25T00:30+00:00"),  # 02:10 for the second time
        ("2026-10-25T01:40+00:00", "2026-10-25T00:30+00:00"),  # 02:30 for the second time: not again
    ],
)
def test_when_the_clock_changes(now: str, latest: str) -> None:
    assert Schedule(notebook="a/b", cron="30 2 * * *").latest(at(now), BERLIN) == at(latest)


EXPRESSIONS = st.sampled_from(["0 7 * * *", "30 2 * * *", "*/15 * * * *", "0 9-17 * * 1-5", "0 6 1 * *", "45 1,2,3 * * 0"])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)), st.sampled_from([BERLIN, TOKYO]))
def test_no_slot_lies_between(cron: str, moment: datetime, zone: ZoneInfo) -> None:
    one, now = Schedule(notebook="a/b", cron=cron), moment.replace(tzinfo=UTC, microsecond=0)
    latest, following = one.latest(now, zone), one.following(now, zone)
    assert latest is not None and latest <= now < following
    assert one.following(latest, zone) == following and one.latest(following, zone) == following


@pytest.mark.parametrize(
    ("times", "hours"),
    [({"every": "15m"}, 0.25), ({"every": "6h"}, 6), ({"cron": "0 7 * * 1-5"}, 72), ({"cron": "0 6 1 * *"}, 31 * 24), ({"cron": "*/5 9-17 * * *"}, 15 + 5 / 60)],
)  # fmt: skip
def test_the_longest_time_between_two(times: dict[str, str], hours: float) -> None:
    assert Schedule(notebook="a/b", **times).longest_gap(TOKYO) == timedelta(hours=hours)
