"""What a user meets: the command line on a real sandbox, good input and bad."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import opslib
from opslib.checks import requests
from opslib.errors import IdentityError, ParameterError, SandboxDown
from opslib.result import Sight, Verdict
from opslib.sandbox.control import Sandbox
from tests.warm_commands import OPSLIB

ROOT = Path(__file__).parents[1]
PLANTED = "req-5f0c2e9ab714"


def command(
    *arguments: str, reports: Path, program: Sequence[str] = OPSLIB, **environ: str
) -> subprocess.CompletedProcess[str]:
    merged = {**os.environ, "OPSLIB_REPORTS": str(reports), **environ}
    return subprocess.run([*program, *arguments], cwd=ROOT, env=merged, capture_output=True, text=True)


@pytest.fixture(scope="module")
def traced(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of one headless run of the planted request."""
    reports = tmp_path_factory.mktemp("reports")
    program = [str(Path(sys.executable).with_name("opslib"))]  # as users start it
    done = command("run", "trace-request", "-p", f"request_id={PLANTED}", reports=reports, program=program)
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        "POST /checkout failed with 500 after 4.8 s: api waited 4.3 s for row lock on stock (LockTimeout); its job stock-release failed."
        in done.stdout
    )
    return next(reports.glob("sandbox/*/*/*/*"))


def test_the_record_is_whole(traced: Path) -> None:
    assert {file.name for file in traced.iterdir()} == {"record.ipynb", "report.html", "summary.json", "data"}
    summary = json.loads((traced / "summary.json").read_text())
    assert (summary["verdict"], summary["status"], summary["blind"]) == ("critical", "finished", "0 of 1 checks blind")
    assert (traced / "data" / "lines.csv").read_text().count(PLANTED) >= 16
    assert (traced.parents[4] / "index.html").is_file()


def test_the_report_fetches_and_runs_nothing(traced: Path) -> None:
    page = (traced / "report.html").read_text()
    assert "Content-Security-Policy" in page and "<script" not in page
    assert not re.findall(r"(?:src|href|srcset)=\"(?!data:|#)[^\"]*", page)


def test_a_replay_reads_the_same(traced: Path) -> None:
    before = {file: file.read_bytes() for file in traced.rglob("*") if file.is_file()}
    done = command("replay", str(traced), reports=traced.parents[4], OPSLIB_SANDBOX="/nowhere")
    assert done.returncode == 0, done.stderr
    page = (traced.parents[4] / ".replay" / traced.name / "report.html").read_text()
    assert "api waited 4.3 s for row lock on stock" in page and "REPLAY" in page
    assert before == {file: file.read_bytes() for file in traced.rglob("*") if file.is_file()}


def test_parts_agree_with_the_tables(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(), request_id=PLANTED)
    assert (trace.verdict, trace.sight) == (Verdict.CRITICAL, Sight.COMPLETE)
    timeline = trace.part("timeline").sentence
    assert "without a line (api → api)" in timeline and "clock of auth" in timeline and "notifier" in timeline
    jobs, audit = trace.part("jobs").table, trace.part("audit").table
    assert jobs is not None and list(jobs["status"]) == ["failed"]
    assert audit is not None and list(audit["outcome"]) == ["failure"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "request=x"], "no parameter 'request'"),
        (["-p", "reqest_id=x"], "did you mean 'request_id'"),
        (["-p", "request_id"], "not NAME=VALUE"),
        (["--env", "prod", "-p", f"request_id={PLANTED}"], "'prod' is not known"),
    ],
)
def test_bad_arguments_stop_before_anything_runs(
    sandbox: Sandbox, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = command("run", "trace-request", *arguments, reports=tmp_path)
    assert done.returncode == 3 and says in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("record.ipynb"))


@pytest.mark.parametrize("request_id", ['x" or 1=1 | fields @message # ', "../../x", "a" * 300, "req-\x07abcdef", ""])
def test_hostile_ids_reach_no_query(sandbox: Sandbox, request_id: str) -> None:
    run = opslib.start()
    sandbox.clear_calls()
    with pytest.raises(ParameterError):
        requests.trace(run, request_id=request_id)
    assert sandbox.calls() in ([], {}) or not any("StartQuery" in str(call) for call in sandbox.calls())


def test_nothing_found_says_what_was_searched(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(), request_id="req-000000000000")
    assert (trace.verdict, trace.sight) == (Verdict.UNKNOWN, Sight.NO_DATA)
    assert "/shop/api" in trace.reason and "minutes to be found" in trace.reason and "US$" in trace.next[0].why


def test_a_missing_group_is_named_and_the_others_are_searched(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(), request_id=PLANTED, log_groups="/shop/api, /shop/nowhere")
    assert trace.sight is Sight.PARTIAL and "/shop/nowhere does not exist" in trace.reason
    assert "LockTimeout" in trace.sentence


def test_without_a_database_the_logs_still_answer(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = json.loads((sandbox.directory / "sandbox.json").read_text())
    state["environment"]["database"]["port"] = 1
    (tmp_path / "sandbox.json").write_text(json.dumps(state))
    monkeypatch.setenv("OPSLIB_SANDBOX", str(tmp_path))
    trace = requests.trace(opslib.start(), request_id=PLANTED)
    assert trace.sight is Sight.PARTIAL and "no way to the database" in trace.reason and "LockTimeout" in trace.sentence
    assert trace.part("jobs").sight is Sight.ERROR


def test_another_account_is_refused(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = json.loads((sandbox.directory / "sandbox.json").read_text())
    state["environment"]["account"] = "012345678901"
    (tmp_path / "sandbox.json").write_text(json.dumps(state))
    monkeypatch.setenv("OPSLIB_SANDBOX", str(tmp_path))
    with pytest.raises(IdentityError, match="account 000000000000 is not 012345678901"):
        opslib.start()


def test_a_sandbox_that_does_not_answer(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = json.loads((sandbox.directory / "sandbox.json").read_text())
    (tmp_path / "config").write_text(
        "[profile opslib-sandbox]\nregion = ap-northeast-1\nendpoint_url = http://127.0.0.1:1\n"
    )
    state["environment"]["aws_config_file"] = str(tmp_path / "config")
    (tmp_path / "sandbox.json").write_text(json.dumps(state))
    monkeypatch.setenv("OPSLIB_SANDBOX", str(tmp_path))
    with pytest.raises(SandboxDown, match="opslib sandbox"):
        opslib.start()


def test_expired_credentials_name_the_login(running_sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = running_sandbox()
    broken.fault(service="sts", kind="expired-token")
    with pytest.raises(IdentityError, match="aws sso login --profile"):
        opslib.start()


PLAIN = r"^(?P<group>\S+) (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?P<message>.*)$"


def test_plain_text_of_other_systems_is_traced(running_sandbox, tmp_path: Path) -> None:
    wanted = "req-38101a0b-2096-447d-96ea-a692162415ae"
    lines = [f"edge 2017-05-16 00:00:{n:02}.008 INFO wsgi [{wanted} - -] GET /v2 status: 200" for n in range(5)]
    lines += [f"compute 2017-05-16 00:00:{n:02}.500 INFO vm [{wanted} - -] spawning" for n in range(3)]
    lines += [f"compute 2017-05-16 00:00:{n:02}.700 INFO vm [{wanted}0 - -] another one" for n in range(3)]
    (tmp_path / "old.log").write_text("\n".join(lines) + "\n")
    used = running_sandbox()
    done = command(
        "sandbox", "load-logs", str(tmp_path / "old.log"), "--pattern", PLAIN, "--zone", "UTC", reports=tmp_path
    )
    assert done.returncode == 0, done.stderr
    trace = requests.trace(opslib.start(), request_id=wanted)
    assert trace.facts["lines"] == "8" and trace.facts["services"] == "2" and trace.sight is Sight.COMPLETE
    assert used.endpoint


def test_a_window_that_cuts_the_request_is_looked_beyond(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(window="2026-11-05 11:31:20/11:31:22 JST"), request_id=PLANTED)
    assert trace.verdict is Verdict.CRITICAL and "failed with 500" in trace.sentence and trace.facts["lines"] == "16"


def test_silence_is_only_said_of_searched_groups(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(), request_id=PLANTED, log_groups="/shop/api")
    assert "silent" not in trace.part("timeline").sentence


def test_a_pattern_that_matches_nothing_is_named(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(), request_id=PLANTED, log_groups="/ecs/typo/*, /shop/*")
    assert trace.sight is Sight.PARTIAL and "no log group matches /ecs/typo/*" in trace.reason


def test_a_cut_id_is_told_of(sandbox: Sandbox) -> None:
    trace = requests.trace(opslib.start(), request_id=PLANTED[:-2])
    assert trace.verdict is Verdict.UNKNOWN and trace.blind and "16 lines with a longer id" in trace.reason


def test_the_next_search_holds_the_one_before(sandbox: Sandbox) -> None:
    run = opslib.start(window="2026-11-04 10:00/11:00 UTC")
    step = requests.trace(run, request_id="req-000000000000").next[0]
    wider = opslib.start(window=step.parameters["window"]).window
    assert run.window and wider and wider.start < run.window.start and wider.end > run.window.end


def load(tmp_path: Path, *lines: tuple[str, dict[str, object]]) -> None:
    """Load JSON lines, each with its time, into group /other/app of the running sandbox."""
    text = "".join(json.dumps({"time": time, "request_id": "req-odd0000001", **line}) + "\n" for time, line in lines)
    (tmp_path / "app.jsonl").write_text(text)
    done = command("sandbox", "load-logs", str(tmp_path / "app.jsonl"), "--group", "/other/app", reports=tmp_path)
    assert done.returncode == 0, done.stderr


def test_odd_and_hostile_values_take_only_their_part_along(running_sandbox, tmp_path: Path) -> None:
    running_sandbox()
    hostile = {"kind": 'x" | fields @message\n#', "message": "<script>alert(1)</script>"}
    load(tmp_path, ("2026-11-05T02:00:00Z", {"level": "INFO", "route": "/a\tb", "message": "in"}),
         ("2026-11-05T02:00:01Z", {"level": "ERROR", "error": hostile, "duration_ms": 1e300, "message": "out"}))  # fmt: skip
    trace = requests.trace(opslib.start(), request_id="req-odd0000001")
    assert trace.verdict is Verdict.WARN and trace.sight is Sight.PARTIAL
    assert "cannot go into a log query" in trace.reason and "failed" in trace.sentence


def test_an_early_error_is_found_behind_a_late_line(running_sandbox, tmp_path: Path) -> None:
    running_sandbox()
    load(tmp_path, ("2026-11-04T22:00:00Z", {"level": "ERROR", "status": 500, "duration_ms": 40, "message": "boom"}),
         ("2026-11-05T02:30:00Z", {"level": "INFO", "message": "cleaned up"}))  # fmt: skip
    trace = requests.trace(opslib.start(), request_id="req-odd0000001")
    assert "failed with 500" in trace.sentence and trace.facts["lines"] == "2"


def test_a_throttled_answer_says_so_and_not_that_stopping_failed(running_sandbox) -> None:
    broken = running_sandbox()
    broken.fault(service="logs", operation="GetQueryResults", kind="throttling")
    trace = requests.trace(opslib.start(), request_id=PLANTED)
    assert trace.verdict is Verdict.UNKNOWN and "throttled" in trace.reason and "StopQuery" not in trace.reason


def test_a_denied_look_into_quiet_groups_leaves_the_rest(running_sandbox) -> None:
    broken = running_sandbox()
    broken.fault(service="logs", operation="DescribeLogStreams", kind="access-denied")
    trace = requests.trace(opslib.start(), request_id="req-000000000000")
    assert trace.sight is Sight.PARTIAL and "searched /shop/api" in trace.reason and "denied" in trace.reason
