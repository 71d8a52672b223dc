"""Windows: what people type, read once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opslib.errors import WindowError
from opslib.window import parse, zone_named

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
TOKYO = zone_named("Asia/Tokyo")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("3h", "2026-11-04T23:40", "2026-11-05T02:40"),
        ("45m", "2026-11-05T01:55", "2026-11-05T02:40"),
        ("2d", "2026-11-03T02:40", "2026-11-05T02:40"),
        ("2026-11-02 10:00/11:30 JST", "2026-11-02T01:00", "2026-11-02T02:30"),
        ("2026-11-02 10:00/2026-11-03 11:30 Asia/Tokyo", "2026-11-02T01:00", "2026-11-03T02:30"),
        ("2026-11-02T10:00:00Z/2026-11-02T11:00:00Z", "2026-11-02T10:00", "2026-11-02T11:00"),
        ("2026-11-02 10:00+09:00/11:30+09:00", "2026-11-02T01:00", "2026-11-02T02:30"),
        ("2026-11-05 11:00/12:00 JST", "2026-11-05T02:00", "2026-11-05T02:40"),
    ],
)
def test_reads(text: str, start: str, end: str) -> None:
    window = parse(text, now=NOW, zone=TOKYO)
    assert (window.start, window.end) == tuple(
        datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (start, end)
    )


def test_an_end_that_is_not_over_is_said() -> None:
    assert "cut to now" in parse("2026-11-05 11:00/12:00 JST", now=NOW, zone=TOKYO).note


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-11-02 10:00/11:30", "names no time zone"),
        ("2026-11-02 10:00/09:00 UTC", "ends before it starts"),
        ("2027-01-01 10:00/11:00 UTC", "lies in the future"),
        ("2026-11-02 10:00/11:30 PST", "time zone 'PST' is not known"),
        ("2026-13-02 10:00/11:30 UTC", "is not a time"),
        ("yesterday", "cannot be read"),
        ("0h", "is empty"),
        ("10:00/11:00 JST", "cannot be read"),
        ("٣h", "cannot be read"),
    ],
)
def test_refuses(text: str, says: str) -> None:
    with pytest.raises(WindowError) as caught:
        parse(text, now=NOW, zone=TOKYO)
    assert says in caught.value.text() and "do:" in caught.value.text()


@given(st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 1)), st.integers(1, 10**6))
def test_a_window_as_parameter_reads_back_to_the_second(start: datetime, seconds: int) -> None:
    begin = start.replace(microsecond=0, tzinfo=UTC)
    first = parse(
        f"{begin:%Y-%m-%dT%H:%M:%SZ}/{begin + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}", now=NOW, zone=TOKYO
    )
    again = parse(first.as_parameter(), now=NOW, zone=TOKYO)
    assert (first.start, first.end) == (again.start, again.end)
