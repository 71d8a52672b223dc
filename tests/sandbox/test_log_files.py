"""Log files of other applications become events: every line is an event, part of one, or counted."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opslib.sandbox import log_files
from opslib.sandbox.errors import SandboxError
from opslib.sandbox.log_times import milliseconds

OPENSTACK = """\
nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.wsgi [req-38101a0b-2096] "GET /v2" 200
nova-compute.log.1.2017-05-16_13:55:31 2017-05-16 00:00:04.500 2931 INFO nova.compute.manager [req-3ea4052c] [-] Started
nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:05.121 25746 ERROR nova.wsgi [req-9bc36dd9] failed
Traceback (most recent call last):
  File "manager.py", line 3, in <module>
nova-scheduler.log.1.2017-05-16_13:52:02 2017-05-16 00:05:12.345 25998 INFO nova.scheduler [req-addc1839] done"""
PATTERN = r"(?P<group>nova-\w+)\.log\S* (?P<time>\S+ \S+) (?P<message>\d+ .*)"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def test_plain_text_counts_are_those_of_grep(tmp_path: Path) -> None:
    file = write(tmp_path, "openstack.log", OPENSTACK)
    counts = log_files.read(file, pattern=PATTERN, zone="UTC").counts()
    services = [line.split(".")[0] for line in OPENSTACK.splitlines() if line.startswith("nova-")]
    assert counts == {name: services.count(name) for name in set(services)}
    assert counts.continuation_lines == 2
    assert counts.unplaced_lines == 0


def test_a_stack_trace_belongs_to_the_event_before_it(tmp_path: Path) -> None:
    events = log_files.read(write(tmp_path, "o.log", OPENSTACK), pattern=PATTERN, zone="UTC").events
    failed = next(event for event in events if "failed" in event.message)
    assert failed.message.splitlines()[1:] == OPENSTACK.splitlines()[3:5]
    assert (failed.group, failed.stream) == ("nova-api", "o.log")


def test_own_times_are_kept_in_the_zone_that_was_named(tmp_path: Path) -> None:
    file = write(tmp_path, "o.log", OPENSTACK)
    for zone, first in (("UTC", "2017-05-16T00:00:00.008+00:00"), ("Asia/Tokyo", "2017-05-16T00:00:00.008+09:00")):
        assert log_files.read(file, pattern=PATTERN, zone=zone).events[0].timestamp_ms == at(first)


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"o\.log line 1: .* names no zone.*--zone"):
        log_files.read(write(tmp_path, "o.log", OPENSTACK), pattern=PATTERN)


def test_lines_before_the_first_event_are_counted_and_named(tmp_path: Path) -> None:
    file = write(tmp_path, "o.log", "-- rotated --\n" + OPENSTACK)
    counts = log_files.read(file, pattern=PATTERN, zone="UTC").counts()
    assert counts.unplaced_lines == 1
    assert "1 lines were NOT loaded (the first: o.log line 1" in counts.remark


def test_json_lines_keep_the_whole_line_as_message(tmp_path: Path) -> None:
    lines = [
        json.dumps({"time": "2026-11-02T10:00:00.5Z", "request_id": "req-1", "note": "注文"}, ensure_ascii=False),
        json.dumps({"timestamp": 1793613601250, "level": "ERROR"}),
        "    at checkout (api.js:10)",
        json.dumps({"@timestamp": "2026-11-02T19:00:02+09:00"}),
        json.dumps({"level": "INFO"}),
    ]
    reading = log_files.read(write(tmp_path, "checkout.jsonl", "\n".join(lines)))
    assert [event.message for event in reading.events] == [lines[0], lines[1] + "\n" + lines[2], lines[3]]
    assert [event.timestamp_ms for event in reading.events] == [
        at("2026-11-02T10:00:00.5+00:00"), 1793613601250, at("2026-11-02T10:00:02+00:00"),
    ]  # fmt: skip
    assert {event.group for event in reading.events} == {"checkout"}
    assert (reading.unplaced_lines, reading.first_unplaced) == (1, "checkout.jsonl line 5: it has no time")


def test_a_group_may_be_named_for_all_lines(tmp_path: Path) -> None:
    file = write(tmp_path, "x.jsonl", '{"time": "2026-11-02T10:00:00Z"}')
    assert log_files.read(file, group="/other/api").counts() == {"/other/api": 1}


def test_an_export_of_cloudwatch_loads_as_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shop-logs"
    write(folder, "aws-logs-write-test", "Permission Check Successful")
    write(
        folder, "exportedlogs/0d1/api-1/000000.gz", "2026-11-02T10:00:00.123Z first\n  more\n2026-11-02T10:00:01Z b\n"
    )
    write(folder, "exportedlogs/0d1/api-2/000000.gz", '2026-11-02T10:00:02.000Z {"request_id": "req-2"}\n')
    reading = log_files.read(folder)
    assert reading.counts() == {"shop-logs": 3}
    assert [event.stream for event in reading.events] == ["api-1", "api-1", "api-2"]
    assert reading.events[0].message == "first\n  more"
    assert reading.events[2].message == '{"request_id": "req-2"}'
    assert reading.events[0].timestamp_ms == at("2026-11-02T10:00:00.123+00:00")


def test_one_exported_file_needs_a_group(tmp_path: Path) -> None:
    file = write(tmp_path, "0d1/api-1/000000.gz", "2026-11-02T10:00:00.123Z first\n")
    with pytest.raises(SandboxError, match="--group"):
        log_files.read(file)
    assert log_files.read(file, group="/x").counts() == {"/x": 1}


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "o.log"
    file.write_bytes(gzip.compress(OPENSTACK.encode()))
    assert sum(log_files.read(file, pattern=PATTERN, zone="UTC").counts().values()) == 4
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(SandboxError, match="damaged gzip"):
        log_files.read(file, pattern=PATTERN, zone="UTC")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "(?P<time>.*)"}, "lacks the named group message"),
        ({"pattern": PATTERN, "zone": "Mars/Base"}, "no time zone"),
        ({"pattern": PATTERN, "zone": "UTC", "group": "a b"}, "cannot be the name of a log group"),
        ({"pattern": r"(?P<time>\S+) (?P<message>.*)", "zone": "UTC"}, "line 1: .*is no time"),
        ({"pattern": "(?P<time>never)(?P<message>x)"}, "holds no event"),
        ({}, "neither JSON lines nor"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(SandboxError, match=says):
        log_files.read(write(tmp_path, "o.log", OPENSTACK), **options)


def test_missing_and_empty_inputs(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="There is no file"):
        log_files.read(tmp_path / "nothing.log")
    with pytest.raises(SandboxError, match="holds no files"):
        log_files.read(tmp_path)
    with pytest.raises(SandboxError, match="it is empty"):
        log_files.read(write(tmp_path, "e.log", ""))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-02 10:00:00,123", "2026-11-02T10:00:00.123+00:00"),
        ("2026/11/02 10:00:00", "2026-11-02T10:00:00+00:00"),
        ("2026-11-02T10:00:00.123456789+0900", "2026-11-02T10:00:00.123+09:00"),
        ("2026-11-02T10:00:00-05", "2026-11-02T10:00:00-05:00"),
        ("02/Nov/2026:10:00:00 +0900", "2026-11-02T10:00:00+09:00"),
        ("1793613600", "2026-11-02T10:00:00+00:00"),
        ("1793613600.25", "2026-11-02T10:00:00.25+00:00"),
        (1793613600123, "2026-11-02T10:00:00.123+00:00"),
        ("1793613600123000", "2026-11-02T10:00:00.123+00:00"),
    ],
)
def test_times(written: str | int, expected: str) -> None:
    assert milliseconds(written, "UTC", "here") == at(expected)


@pytest.mark.parametrize("written", ["yesterday", "2026-13-02T10:00:00Z", "12", True, "2026-11-02", ""])
def test_what_is_no_time(written: object) -> None:
    with pytest.raises(SandboxError, match="is no time"):
        milliseconds(written, "UTC", "here")


def test_events_are_sent_in_parts_and_none_is_lost(tmp_path: Path) -> None:
    lines = [f'{{"time": "2026-11-02T10:00:00Z", "n": {n}, "pad": "{"x" * 1000}"}}' for n in range(9000)]
    reading = log_files.read(write(tmp_path, "big.jsonl", "\n".join(lines)))
    bodies: list[bytes] = []
    counts = reading.sent(bodies.append)
    sent = [json.loads(line) for body in bodies for line in body.splitlines()]
    assert len(bodies) > 1
    assert [json.loads(event["message"])["n"] for event in sent] == list(range(9000))
    assert counts == {"big": 9000}
