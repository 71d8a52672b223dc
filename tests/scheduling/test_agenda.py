"""`[[schedule]]` in opslib.toml: each mistake gets one error that names file, schedule, key and remedy."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from opslib import config, scheduling
from opslib.doctor import writing
from opslib.errors import ConfigError
from opslib.runner import runbooks
from opslib.scheduling.agenda import agenda, named
from tests.runner.probe import code, markdown, notebook

ROOT = Path(__file__).parents[2]
ENV = '[env.prod]\naccount = "012345678901"\nregion = "ap-northeast-1"\ntimezone = "Asia/Tokyo"\n'
DAILY = '[[schedule]]\nname = "morning"\nnotebook = "daily"\ncron = "30 8 * * *"\n'
RUNBOOK = notebook(
    markdown("# Daily\n\n**READ-ONLY** · 毎朝の手順書です。"),
    code('window: str = "24h"  # how far back\njob: str = ""  # one job only\nway: str = "all"  # all: it; cheap: some\nmany: int = 3  # how many\nenv: str = ""', "parameters"),
    code("print(window)"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    (tmp_path / "notebooks" / "1-monitor").mkdir(parents=True)
    runbooks.write(tmp_path / "notebooks" / "1-monitor" / "daily.ipynb", RUNBOOK)
    runbooks.write(
        tmp_path / "notebooks" / "1-monitor" / "mend.ipynb", notebook(markdown("# Mend\n\n**WRITES** · 直します。"))
    )
    unfilled = notebook(markdown("# Trace"), code('request_id: str = ""', "parameters"))
    runbooks.write(tmp_path / "notebooks" / "1-monitor" / "trace.ipynb", unfilled)
    return tmp_path


def written(project: Path, text: str) -> config.Environment:
    (project / "opslib.toml").write_text(ENV + text)
    return config.load("prod")


def test_a_schedule_with_all_that_it_may_say(project: Path) -> None:
    more = 'window = "12h"\nlongest = "3d"\ndeliver = ["slack", "s3"]\nretries = 2\nlock = false\ntimeout_s = 600\nenv = "prod"\nparameters = { job = "export", many = 5 }\n'
    (project / "opslib.toml").write_text(ENV + 'report_bucket = "shop-reports"\n' + DAILY + more)
    (one,) = agenda(config.load("prod"))
    assert (one.runbook, one.values, one.follows) == ("1-monitor/daily", {"job": "export", "many": 5}, True)
    assert (one.schedule.first, one.schedule.most) == (timedelta(hours=12), timedelta(days=3))
    assert (one.schedule.retries, one.schedule.lock, one.schedule.timeout_s) == (2, False, 600)


@pytest.mark.parametrize(("cron", "days"), [("*/15 * * * *", 8), ("0 8 * * mon", 8), ("0 8 1 * *", 32)])
def test_one_run_covers_what_lies_between_two(project: Path, cron: str, days: int) -> None:
    (one,) = agenda(written(project, DAILY.replace("30 8 * * *", cron)))
    assert one.schedule.most == timedelta(days=days)


def test_a_window_among_the_parameters_stays_as_it_is(project: Path) -> None:
    (one,) = agenda(written(project, DAILY + 'parameters = { window = "30d" }\n'))
    assert one.values == {"window": "30d"} and not one.follows


def test_each_environment_has_its_own_and_the_common_ones(project: Path) -> None:
    text = ENV.replace("prod", "dev") + DAILY + DAILY.replace("morning", "only-dev") + 'env = "dev"\n'
    assert [one.schedule.name for one in agenda(written(project, text))] == ["morning"]
    assert [one.schedule.name for one in agenda(config.load("dev"))] == ["morning", "only-dev"]


def test_without_a_file_nothing_is_scheduled(project: Path) -> None:
    environment = written(project, "")
    (project / "opslib.toml").unlink()
    assert agenda(environment) == [] and scheduling.__doc__


@pytest.mark.parametrize(
    ("change", "key", "says", "remedy"),
    [
        (('"daily"', '"dayly"'), "'notebook'", "there is no runbook 'dayly'", "did you mean 'daily'?"),
        (('"30 8 * * *"', '"30 25 * * *"'), "'cron'", "Bad hour", 'write minute, hour, day of month, month, day of week: "30 8 * * mon-fri"'),
        (('cron = "30 8 * * *"\n', ""), "'cron'", "Field required", "add cron"),
        (('cron = "30 8 * * *"', 'corn = "30 8 * * *"'), "'corn'", "not permitted", "did you mean 'cron'?"),
        (('"morning"', '"In the morning"'), "'name'", "match pattern", "small letters, digits and hyphens"),
        (("cron", "parameters = { jub = 'export' }\ncron"), "'parameters'", "has no parameter 'jub'", "did you mean 'job'?"),
        (("cron", "parameters = { many = 'few' }\ncron"), "'parameters'", "is not a whole number", "how many"),
        (("cron", "parameters = { window = '3 fortnights' }\ncron"), "'parameters'", "cannot be read", "use a span such as"),
        (("cron", "parameters = { env = 'prod' }\ncron"), "'parameters'", "env is the schedule's own", "beside notebook"),
        (('"daily"', '"trace"'), "'parameters'", "request_id is empty", "give one"),
        (("cron", 'window = "1 day"\ncron'), "'window'", "no span of time", 'such as "90m"'),
        (("cron", 'window = "0h"\ncron'), "'window'", "no span of time", 'such as "90m"'),
        (("cron", "window = '1h'\nparameters = { window = '2h' }\ncron"), "'window'", "fix the window already", "leave out one"),
        (("30 8 * * *\"", '*/15 * * * *"\nlongest = "15m"'), "'longest'", "up to 15 min lie between two runs: each would cover only the last 15m", "leave it out"),
        (("30 8 * * *\"", '0 8 * * mon-fri"\nlongest = "2d"'), "'longest'", "up to 3 d lie between", "more than that"),
        (('"daily"', '"mend"'), "'notebook'", "1-monitor/mend changes things: on schedule it would only plan", "opslib open 1-monitor/mend"),
        (("cron", "parameters = { way = 'chaep' }\ncron"), "'parameters'", "way='chaep' is none of all, cheap", "way: all: it"),
        (("cron", 'deliver = ["email"]\ncron'), "'deliver.0'", "'slack' or 's3'", "correct the value"),
        (("cron", 'deliver = ["s3"]\ncron'), "'deliver'", "has no report_bucket", "name one in [env.prod]"),
        (("cron", "retries = 9\ncron"), "'retries'", "less than or equal to 5", "correct the value"),
        (("cron", 'env = "prd"\ncron'), "'env'", "no environment 'prd'", "choose prod"),
        (("[[schedule]]", "[schedule]"), "'schedule'", "of another kind", "[[schedule]]"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(project: Path, change: tuple[str, str], key: str, says: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        agenda(written(project, DAILY.replace(*change)))
    said = caught.value.text()
    assert str(project / "opslib.toml") in said and f"key {key} is wrong" in said, said
    assert says in said.partition("why:")[2] and remedy in said.partition("do:")[2], said


@pytest.mark.parametrize("shown", ["README", "init"])
def test_what_is_shown_can_be_scheduled(project: Path, shown: str) -> None:
    """The cheap detections every quarter of an hour beside the morning report: as README has them, and as init writes them."""
    text = re.sub(r"^# (?!\?)|^#$", "", writing.SCHEDULES, flags=re.M)
    if shown == "README":
        text = next(one for one in re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.S) if "[[schedule]]" in one)  # fmt: skip
    (project / "opslib.toml").write_text(f'notebook_paths = ["{ROOT / "notebooks"}"]\n{ENV}report_bucket = "x"\n{text}')
    morning, suspicious = agenda(config.load("prod"))
    assert (morning.runbook, morning.follows) == ("1-monitor/daily-health", True)
    assert suspicious.values == {"detections": "cheap"} and suspicious.schedule.first == timedelta(minutes=15)
    assert suspicious.schedule.cron == "*/15 * * * *" and suspicious.schedule.quiet


def test_two_of_one_name(project: Path) -> None:
    with pytest.raises(ConfigError, match="another schedule has this name"):
        agenda(written(project, DAILY + DAILY))


def test_a_name_that_there_is_not(project: Path) -> None:
    environment = written(project, DAILY)
    assert [one.schedule.name for one in named(environment, ())] == ["morning"]
    with pytest.raises(ConfigError, match="there are morning"):
        named(environment, ("evening",))


@pytest.mark.parametrize("address", ["http://reports.example", "https://reports.example/?a=b", "reports.example"])
def test_a_base_url_that_no_link_can_begin_with(project: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="key 'report_base_url' is wrong"):
        written(project, f'[env.dev]\naccount = "012345678901"\nregion = "eu-west-1"\nreport_base_url = "{address}"\n')
        config.load("dev")
