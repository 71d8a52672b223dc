"""One incident from its opening to a closed record in a bucket that cannot be rewritten; every tampering is found."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import string
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path

import pytest

from opslib import aws, config, open_incidents
from opslib import run as runs
from opslib.actions import services
from opslib.applying import carry_out
from opslib.errors import ParameterError, SourceError, WindowError
from opslib.incidents import closing, report, report_ja, store
from opslib.incidents.document import html, markdown
from opslib.journal import NAME, Journal
from opslib.runner import headless, interactive
from opslib.sandbox.control import Sandbox
from opslib.stepping import Work
from tests.warm_commands import OPSLIB

BUCKET = "shop-ops-incidents"
SECRETS = ["hunter2secret", "AKIAIOSFODNN7EXAMPLE", "taro@example.com", "090-1234-5678", "4111111111111111"]
DIRTY = "password=hunter2secret AKIAIOSFODNN7EXAMPLE taro@example.com 090-1234-5678 4111111111111111"


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock="running", scenario="checkout-locks") as running:
        yield running


@pytest.fixture(scope="module")
def base(live: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        reports = tmp_path_factory.mktemp("reports")
        patch.setenv("OPSLIB_SANDBOX", str(live.directory))
        patch.setenv("OPSLIB_REPORTS", str(reports))
        patch.delenv("OPSLIB_INCIDENT", raising=False)
        aws.forget()
        yield reports


@pytest.fixture(scope="module")
def environment(base: Path) -> config.Environment:
    return config.load()


@pytest.fixture(scope="module")
def closed(environment: config.Environment, live: Sandbox, base: Path) -> store.Incident:
    """The scripted run: opened, looked into, acted on, told, closed and exported."""
    made = store.begin(environment, "Checkout is slow 決済が遅い", severity="SEV2")
    live.advance("1m")
    headless.run("trace-request", {})
    plan = services.restart(runs.start(), service="api")
    with redirect_stdout(io.StringIO()):
        assert carry_out(Work(plan, config.load(), "a test", pause=live.advance)).verdict == "ok"
    for kind, at, source in (
        ("started", "11:12 JST", "first slow request in trace-request"), ("detected", "11:31 JST", "alarm checkout-p95"),
        ("acknowledged", "11:36 JST", "page 4711, Suzuki"), ("mitigated", "", "restart of api, p95 below 1 s"), ("resolved", "", "alarm OK"),
    ):  # fmt: skip
        store.note(
            made, environment, f"{kind} it was", kind=kind, at=at, source=source, ja=f"{report_ja.NAMES[kind]}した"
        )
        live.advance("1m")
    for kind, text, ja in (
        ("summary", "Checkouts waited for a row lock.", "決済が行ロックを待った。"), ("impact", "312 of 4,120 checkouts failed in 27 minutes", "27分間で4,120件中312件の決済が失敗"),
        ("factor", "A job held a lock for an hour.", "バッチが1時間ロックを保持した。"), ("temporary-fix", "api was restarted.", "apiを再起動した。"),
        ("permanent-fix", "The job commits every 100 rows.", "100行ごとにコミットする。"), ("event", DIRTY, ""),
    ):  # fmt: skip
        store.note(made, environment, text, kind=kind, ja=ja)
    store.note(
        made,
        environment,
        "lock_timeout for the job",
        kind="action-item",
        ja="ジョブにlock_timeoutを設定",
        owner="Sato",
        due="2026-11-20",
    )
    file = base / "graph <script>.txt"
    file.write_text(f"p95 4.8 s\n{DIRTY}")
    store.attach(made, environment, file, says="p95 of checkout", query="SELECT 1", window="02:00/03:00 UTC")
    closing.close(environment, store.load(environment, made.id))
    return store.load(environment, made.id)


def test_runs_and_changes_joined(closed: store.Incident) -> None:
    events = [entry["event"] for entry in closed.entries]
    assert events[0] == "opened" and events[-1] == "closed"
    assert [name for name in events if name in {"apply", "intent", "result", "verified"}] == [
        "apply",
        "intent",
        "result",
        "verified",
    ]
    run = next(entry for entry in closed.entries if entry["event"] == "run")
    assert (
        run["runbook"] == "2-investigate/trace-request"
        and (closed.folder / run["pages"]["report.html"]["file"]).is_file()
    )
    evidence = [
        entry for entry in closed.entries if entry["event"] == "evidence" and "fields" in entry.get("query", "")
    ]
    assert (
        evidence
        and evidence[0]["window"]
        and evidence[0]["sha256"] == store.sha256(closed.folder / evidence[0]["file"])
    )


def test_the_record_says_it_all(closed: store.Incident) -> None:
    page, text = (closed.folder / "record.html").read_text(), (closed.folder / "record.md").read_text()
    for said in (
        "Detected 19 minutes after started",
        "2026-11-05 02:31:00 UTC",
        "alarm checkout-p95",
        "312 of 4,120",
        "Sato",
        "restart-service api",
    ):
        assert said in page, said
        assert said.replace("-", "-") in text or said == "restart-service api", said
    assert page.index("first slow request") and "nothing is noted" not in page
    order = [row[0] for row in report.timeline(closed, datetime.now().astimezone().tzinfo, report.told)]  # type: ignore[arg-type]
    assert order == sorted(order) and len(order) > 10


def test_the_japanese_report_has_its_parts(closed: store.Incident) -> None:
    page, text = (closed.folder / "record.ja.html").read_text(), (closed.folder / "record.ja.md").read_text()
    for part in ("障害報告書", "発生日時", "検知", "影響範囲", "原因", "暫定対応", "恒久対策", "再発防止策", "時系列"):
        assert part in page and part in text, part
    assert "2026-11-05 11:12:00 JST" in page and "27分間で4,120件中312件の決済が失敗" in page and 'lang="ja"' in page
    assert "登録 2026-11-05" in page and "検証方法: opslib incident verify" in page and "journal entries" not in page


def test_what_was_not_said_in_japanese_is_quoted_there(alone: config.Environment) -> None:
    made = store.begin(alone, "quoted")
    store.note(made, alone, "the queue grew")
    store.note(made, alone, "キューが伸びた")
    store.note(made, alone, "the queue shrank", ja="キューが縮んだ")
    page = html(report_ja.japanese(store.load(alone, made.id)))
    assert "原文「the queue grew」" in page and "原文「キュー" not in page and "shrank" not in page


def test_one_file_that_fetches_and_runs_nothing(closed: store.Incident) -> None:
    for name in ("record.html", "record.ja.html"):
        page = (closed.folder / name).read_text()
        assert (
            "<script" not in page
            and "default-src 'none'" in page
            and "http-equiv" in page
            and "src=" not in page.replace("default-src", "").replace("img-src", "").replace("style-src", "")
        )


def test_no_secret_lies_in_the_record(closed: store.Incident) -> None:
    for file in (file for file in closed.folder.rglob("*") if file.is_file()):
        content = file.read_bytes().decode("utf-8", errors="replace")
        assert not [secret for secret in SECRETS if secret in content], file
        assert file.stat().st_mode & 0o077 == 0, file


def test_an_untouched_record_is_verified_against_the_bucket(
    closed: store.Incident, environment: config.Environment
) -> None:
    problems, against = closing.verify(environment, closed)
    assert problems == [] and f"s3://{BUCKET}" in against[1]
    exported = json.loads((closed.folder / closing.EXPORT).read_text())
    assert exported["objects"][closing.MANIFEST]["version"] and len(exported["objects"]) > 8


def test_the_export_cannot_be_deleted_or_hidden(
    closed: store.Incident, environment: config.Environment, live: Sandbox
) -> None:
    exported = json.loads((closed.folder / closing.EXPORT).read_text())
    key, version = (
        f"opslib/incidents/sandbox/{closed.id}/{closing.MANIFEST}",
        exported["objects"][closing.MANIFEST]["version"],
    )
    s3 = live.client("s3")
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")  # a newer version hides it, and changes nothing
    assert closing.verify(environment, closed)[0] == []
    assert closing.export(environment, closed) == exported


def test_an_export_that_failed_is_made_up_for(environment: config.Environment, live: Sandbox) -> None:
    group = f"/ops/incident-heads-{aws.now(environment):%H%M%S%f}"
    live.client("logs").create_log_group(logGroupName=group)
    posting = environment.model_copy(update={"incident_log_group": group})
    made = store.begin(posting, "exported at last")
    for service, operation in (("s3", "PutObject"), ("logs", "PutLogEvents")):
        live.fault(service=service, operation=operation, kind="access-denied")
        with pytest.raises(SourceError, match=f"{operation} was denied") as failed:
            closing.close(posting, store.load(posting, made.id), incomplete=True)
        assert f"then again: opslib incident close --incident {made.id}" in failed.value.text()
        live.clear_faults()
    written = (made.folder / closing.MANIFEST).read_text(), json.loads((made.folder / closing.EXPORT).read_text())
    for _ in range(2):
        _, exported = closing.close(posting, store.load(posting, made.id))
        assert exported == {**written[1], "head": f"log group {group}, stream sandbox/{made.id}"}
    closed = store.load(posting, made.id)
    assert (made.folder / closing.MANIFEST).read_text() == written[0] and closing.verify(posting, closed)[0] == []
    (made.folder / "record.md").write_text("somebody else's words")
    with pytest.raises(SourceError, match="PreconditionFailed"):
        closing.close(posting, closed)
    (made.folder / closing.MANIFEST).write_text("{}")
    with pytest.raises(SourceError, match="ResourceAlreadyExists"):
        closing.close(posting.model_copy(update={"incident_bucket": ""}), closed)


def test_a_head_in_a_log_group_is_held_against_the_record(alone: config.Environment, live: Sandbox) -> None:
    group = f"/ops/incident-heads-{aws.now(alone):%H%M%S%f}"
    live.client("logs").create_log_group(logGroupName=group)
    posting = alone.model_copy(update={"incident_log_group": group})
    made = store.begin(posting, "posted")
    _, exported = closing.close(posting, made, incomplete=True)
    assert exported["head"] == f"log group {group}, stream sandbox/{made.id}" and "objects" not in exported
    whole = store.load(posting, made.id)
    problems, against = closing.verify(posting, whole)
    assert problems == [] and f"the head in log group {group}" in against[2]
    _rewrite(whole, "somebody else's words")  # all of it anew: chain, head beside it and manifest are in order again
    assert closing.verify(alone, store.load(alone, made.id))[0] == []
    problems, _ = closing.verify(posting, store.load(posting, made.id))
    assert problems == [f"{name} is not the one that was posted at its end" for name in (NAME, closing.MANIFEST)]
    shutil.copytree(whole.folder, whole.folder.with_name(f"{made.id}-taken-away"))
    assert "NO head in log group" in closing.verify(posting, store.load(posting, f"{made.id}-taken-away"))[1][2]


def _rewrite(incident: store.Incident, title: str) -> None:
    """Do what somebody can who may write the whole folder: a new journal, and everything that follows from it."""
    old = incident.entries
    for name in (NAME, "journal.head"):
        (incident.folder / name).unlink()
    for entry in old:
        kept = {key: value for key, value in entry.items() if key not in {"n", "at", "event", "by", "before", "hash"}}
        at = datetime.fromisoformat(entry["at"])
        Journal(incident.folder / NAME).append(entry["event"], at=at, **{**kept, "title": title})
    manifest = closing._manifest(incident)
    (incident.folder / closing.MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


TAMPERINGS = {
    "an edit": lambda home: _edit(home / "journal.jsonl", "312 of", "2 of"), "an edited page": lambda home: _edit(home / "record.html", "312", "2"),
    "a deletion": lambda home: _lines(home, lambda lines: lines[:3] + lines[4:]), "a cut tail": lambda home: _lines(home, lambda lines: lines[:-2]),
    "a cut tail with its head": lambda home: _cut_with_head(home), "a deleted file": lambda home: (home / "record.md").unlink(),
    "an added file": lambda home: (home / "evidence" / "more.txt").write_text("x"), "fields": lambda home: _edit(home / "record.json", "SEV2", "SEV4"),
    "a new manifest": lambda home: _new_manifest(home), "no manifest": lambda home: (home / closing.MANIFEST).unlink(),
}  # fmt: skip


def _edit(file: Path, before: str, after: str) -> None:
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def _lines(home: Path, keep: object) -> None:
    file = home / "journal.jsonl"
    file.write_text("".join(keep(file.read_text().splitlines(keepends=True))))  # type: ignore[operator]


def _cut_with_head(home: Path) -> None:
    _lines(home, lambda lines: lines[:-2])
    last = Journal(home / "journal.jsonl").entries()[-1]
    (home / "journal.head").write_text(json.dumps({"n": last["n"], "hash": last["hash"]}))


def _new_manifest(home: Path) -> None:
    _edit(home / "record.html", "312", "2")
    told = json.loads((home / closing.MANIFEST).read_text())
    told["files"]["record.html"] = store.sha256(home / "record.html")
    (home / closing.MANIFEST).write_text(json.dumps(told))


@pytest.mark.parametrize("done", list(TAMPERINGS))
def test_tampering_is_found(
    closed: store.Incident, environment: config.Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    copy = tmp_path / "sandbox" / "incidents" / closed.id
    shutil.copytree(closed.folder, copy)
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    TAMPERINGS[done](copy)
    problems, _ = closing.verify(
        environment, store.Incident(copy, closed.fields, Journal(copy / "journal.jsonl").entries())
    )
    assert problems, done


def test_a_closed_record_takes_nothing_more(closed: store.Incident, environment: config.Environment) -> None:
    with pytest.raises(ParameterError, match="is closed"):
        store.note(closed, environment, "late")
    with pytest.raises(ParameterError, match="is closed"):
        store.use(environment, closed.id)


@pytest.fixture
def alone(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Environment:
    """An environment without a bucket, in a place of its own."""
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    return config.load().model_copy(update={"incident_bucket": ""})


def test_with_several_open_nothing_is_guessed(alone: config.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_incidents.in_force("sandbox") == ("", "no incident is open")
    first, second = store.begin(alone, "one").id, store.begin(alone, "two").id
    assert open_incidents.in_force("sandbox") == ("", "2 incidents are open: opslib incident use ID")
    with pytest.raises(ParameterError, match="which incident"):
        store.meant(alone)
    store.use(alone, first)
    assert open_incidents.in_force("sandbox")[0] == first
    monkeypatch.setenv("OPSLIB_INCIDENT", second)
    assert open_incidents.in_force("sandbox")[0] == second
    monkeypatch.setenv("OPSLIB_INCIDENT", "INC-20261105-024000-gone")
    with pytest.raises(ParameterError, match="is not open"):
        open_incidents.in_force("sandbox")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "..",
        "INC-٢٠٢٦١١٢٣-101500-a",
        "INC-20261123-101500-a\n",
        "INC-20261123-101500-../../x",
        "INC-20261123-101500-A",
        "x/INC-20261123-101500-a",
    ],
)
def test_an_id_is_matched_whole(alone: config.Environment, wrong: str) -> None:
    with pytest.raises(ParameterError, match="no incident id"):
        store.load(alone, wrong)


@pytest.mark.parametrize(
    ("given", "why", "kind"),
    [({"kind": "started"}, "from where", ParameterError), ({"kind": "impact"}, "in numbers", ParameterError), ({"kind": "blame"}, "no kind", ParameterError),
     ({"at": "11:31"}, "no time zone", WindowError), ({"at": "2026-12-05 11:31 JST"}, "future", WindowError)],
)  # fmt: skip
def test_a_vague_note_is_refused(
    alone: config.Environment, given: dict[str, str], why: str, kind: type[Exception]
) -> None:
    made = store.begin(alone, "vague")
    with pytest.raises(kind, match=why):
        store.note(made, alone, "many users", **given)  # type: ignore[arg-type]


def test_it_is_not_closed_before_it_says_what_it_must(alone: config.Environment) -> None:
    made = store.begin(alone, "early")
    with pytest.raises(ParameterError, match="started, detected, mitigated"):
        closing.close(alone, made)
    page, exported = closing.close(alone, made, incomplete=True)
    assert "Not yet said: started" in page.read_text() and exported == {}
    problems, against = closing.verify(alone, store.load(alone, made.id))
    assert problems == [] and "could write that too" in against[1]


def test_hostile_text_is_text(alone: config.Environment) -> None:
    made = store.begin(alone, "<script>alert(1)</script> | [x](javascript:alert(1))\x1b[31m")
    store.note(made, alone, "<img src=x onerror=alert(1)> | `x` ](http://evil)")
    found = store.load(alone, made.id)
    page, text = html(report.english(found)), markdown(report.english(found))
    assert "<script" not in page and "<img" not in page and "\x1b" not in page + text
    assert "<img" not in text and not re.search(r"(?<!\\)\]\((?:http|javascript)", text)


def test_a_copy_opened_before_the_incident_joins_it_when_it_is_closed(alone: config.Environment) -> None:
    copy = interactive.open_copy("trace-request", {})
    made = store.begin(alone, "found by looking")
    record, _ = interactive.close(copy.parent)
    assert [entry["record"] for entry in store.load(alone, made.id).entries if entry["event"] == "run"] == [record.name]


def test_a_change_that_was_denied_half_way_stands_in_the_timeline(alone: config.Environment) -> None:
    made, about = store.begin(alone, "denied"), {"plan": "f" * 64, "action": "roll-out-image", "target": "api"}
    store.enter(made, "apply", at=aws.now(alone), **about)
    for step, outcome, why in ((1, "done", ""), (2, "not done", "ecs:UpdateService was denied")):
        store.enter(made, "result", at=aws.now(alone), step=step, outcome=outcome, why=why, **about)
    found = store.load(alone, made.id)
    page, japanese = html(report.english(found)), html(report_ja.japanese(found))
    assert "change roll-out-image api: step 2 not done: ecs:UpdateService was denied" in page and "step 1" not in page
    assert "変更の手順2: 未実施 roll-out-image api（原文「ecs:UpdateService was denied」）" in japanese


def test_evidence_of_one_query_says_it_once(alone: config.Environment, tmp_path: Path) -> None:
    made = store.begin(alone, "evidence")
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text(name)
        query = "other" if name == "c.csv" else "fields @message"
        store.attach(made, alone, tmp_path / name, says="look", query=query, window="02:00/03:00 UTC")
    page = html(report.english(store.load(alone, made.id)))
    assert page.count("fields @message") == 1 and page.count("as above") == 1 and page.count("02:00/03:00 UTC") == 2


def test_a_chain_that_was_cut_while_open_is_found(alone: config.Environment) -> None:
    made = store.begin(alone, "open one")
    store.note(made, alone, "first")
    file = made.folder / "journal.jsonl"
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    problems, _ = closing.verify(alone, store.load(alone, made.id))
    assert problems == ["journal.jsonl: the last 1 of 2 entries are missing"]


def _sixty() -> list[tuple[str, str]]:
    """Return sixty secrets and personal data as they slip out, twelve kinds, five of each, and what must not be seen of each."""
    dice = random.Random(60)

    def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        return "".join(dice.choices(alphabet, k=count))

    makers = {
        "key id": lambda: f"AKIA{some(16, string.ascii_uppercase + string.digits)}", "mail": lambda: f"{some(8).lower()}@example.co.jp",
        "password": lambda: f"password={some(12)}", "token": lambda: f"token: {some(24)}", "bearer": lambda: f"Bearer {some(30)}",
        "jwt": lambda: f"eyJ{some(12)}.eyJ{some(12)}.{some(20)}", "mobile": lambda: f"0{dice.choice('789')}0-{some(4, string.digits)}-{some(4, string.digits)}",
        "hook": lambda: f"https://hooks.slack.com/services/T{some(8)}/B{some(8)}/{some(24)}", "slack": lambda: f"xoxb-{some(20, string.digits)}",
        "github": lambda: f"ghp_{some(36)}", "url": lambda: f"postgresql://app:{some(10)}@db.example.com/shop", "secret": lambda: f'"client_secret": "{some(20)}"',
    }  # fmt: skip
    planted = [make() for make in makers.values() for _ in range(5)]
    assert len(planted) == 60
    bare = [
        secret.rpartition("=")[2].rpartition(": ")[2].strip('"').removeprefix("Bearer ").split("@db")[0]
        for secret in planted
    ]
    return list(zip(planted, bare, strict=True))


def test_sixty_secrets_in_every_field_that_can_carry_one(alone: config.Environment, tmp_path: Path) -> None:
    """Twelve kinds of secrets and personal data, five of each; none lies in any file or name of the record."""
    planted, bare = zip(*_sixty(), strict=True)
    made = store.begin(alone, f"slow {planted[0]}", severity=planted[5])
    for number, secret in enumerate(planted):
        kind = store.KINDS[number % len(store.KINDS)]
        store.note(
            made,
            alone,
            f"7 {secret}",
            kind=kind,
            source=f"s {secret}",
            ja=f"日 {secret}",
            owner=f"o {secret}",
            due=f"d {secret}",
        )
        named = tmp_path / f"{number} {secret if not set(secret) & set('/:') else 'plain'}.txt"
        named.write_text(f"line {secret}\n")
        store.attach(made, alone, named, says=f"a {secret}", query=f"q {secret}", window=f"w {secret}")
    closing.close(alone, store.load(alone, made.id), incomplete=True)
    for file in (file for file in made.folder.rglob("*") if file.is_file()):
        text = file.read_text() + file.relative_to(made.folder).as_posix()
        assert not [secret for secret in bare if secret in text], file
    printed = "".join(opslib("incident", *words).stdout for words in (["list"], ["verify", made.id]))
    assert made.id in printed and not [secret for secret in bare if secret in printed]


def test_sixty_secrets_in_the_journal_of_changes(alone: config.Environment) -> None:
    """What people type and what AWS answers goes into the journal, and is printed from there: never as it was."""
    own = Journal.of(alone)
    for number, (planted, _) in enumerate(_sixty()):
        about = {"plan": f"{number:064x}", "action": "restart-service", "target": f"api {planted}"}
        own.append("apply", at=aws.now(alone), confirmed_by=f"typed: {planted}", lock=planted, content={"verification": {"look": f"aws {planted}"}}, **about)  # fmt: skip
        own.append("intent", at=aws.now(alone), step=1, call=f"ecs:{planted}", command=f"aws ecs {planted}", **about)
        own.append("result", at=aws.now(alone), step=1, outcome="unknown", why=f"said {planted}", kept={"a": [planted]}, **about)  # fmt: skip
        own.append("refused", at=aws.now(alone), what=f"no {planted}", why=planted, **about)
    told = opslib("journal", "--last", "1000")
    assert told.returncode == 0 and told.stdout.count("UNKNOWN: CHECK") == 60, told.stderr
    for text in (told.stdout + told.stderr, own.file.read_text()):
        assert not [bare for _, bare in _sixty() if bare in text]


def opslib(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*OPSLIB, *words], capture_output=True, text=True, check=False)


def test_the_command_line_from_open_to_verify(alone: config.Environment, tmp_path: Path) -> None:
    opened = opslib("incident", "open", "API is down", "--severity", "SEV1")
    name = opened.stdout.split()[0]
    assert opened.returncode == 0 and store.load(alone, name).is_open
    assert opslib("incident", "note", "many users", "--as", "impact").returncode == 3
    assert opslib("incident", "note", "41 of 50 calls failed", "--as", "impact").returncode == 0
    store.enter(
        store.load(alone, name),
        "intent",
        at=aws.now(alone),
        plan="f" * 64,
        step=1,
        action="restart-service",
        target="api",
        command="aws ecs update-service",
    )
    status = opslib("incident", "status")
    assert "UNKNOWN: CHECK" in status.stdout and "not yet said: started" in status.stdout
    refused = opslib("incident", "close")
    assert refused.returncode == 3 and "how restart-service api ended" in refused.stderr
    closed = opslib("incident", "close", "--incomplete")
    assert closed.returncode == 0 and "Object" not in closed.stderr and "manifest version" in closed.stdout, (
        closed.stdout + closed.stderr
    )
    assert name in opslib("incident", "list").stdout and opslib("incident", "verify", name).returncode == 0
    with (store.load(alone, name).folder / "record.md").open("a") as file:
        file.write("more")
    verified = opslib("incident", "verify", name)
    assert verified.returncode == 1 and "record.md was changed" in verified.stdout
