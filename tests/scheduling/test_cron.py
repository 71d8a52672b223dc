"""The times of a schedule: by a plain search over the minutes of the zone, and on the days on which the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opslib import cron

BERLIN, TOKYO, NEW_YORK = (ZoneInfo(name) for name in ("Europe/Berlin", "Asia/Tokyo", "America/New_York"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("30 8 * *", "4 fields, not five"), ("0 30 8 * * *", "6 fields, not five"), ("61 8 * * *", "Bad minute"),
        ("0 8 31 2 *", "Bad day-of-month"), ("0 8 L * *", "only numbers"), ("0 8 ? * mon", "only numbers"), ("0 8 * * mon#1", "only numbers"),
        ("@daily", "1 fields"), ("", "0 fields"), ("0 8 * * \u0661", "only numbers"), ("*/0 * * * *", "Bad minute"), ("30 8 * * fr", "only numbers"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_told_with_the_form(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="write minute, hour") as caught:
        cron.checked(text)
    assert says in str(caught.value)


def test_spaces_and_names_do_not_matter() -> None:
    assert cron.checked(" 30  8 * jul\tMON-fri ") == "30 8 * jul MON-fri"


def local(expression: str, zone: ZoneInfo, first: datetime, last: datetime) -> list[str]:
    """Return the times of the expression between two moments, as the clock on the wall shows them."""
    found, moment = [], first
    while (moment := cron.following(expression, moment, zone)) < last:
        found.append(f"{moment.astimezone(zone):%d %H:%M %z}")
    return found


def test_a_time_that_the_clocks_jump_over_comes_right_after_the_jump() -> None:
    days = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    assert local("30 2 * * *", BERLIN, *days) == ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]


def test_a_time_that_the_clocks_pass_twice_comes_once() -> None:
    days = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    assert local("30 2 * * *", BERLIN, *days) == ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"]


def test_every_quarter_of_an_hour_goes_on_through_both_changes() -> None:
    for day in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        assert len(local("*/15 * * * *", BERLIN, day, day + timedelta(hours=6))) == 23


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["30 2 * * *", "*/20 2 * * *", "15 1,2,3 * * *", "0 8 * * mon-fri", "5 */2 * * *", "7 * * * *", "45 1 25 10 *", "0 0 1 * *"]),
    st.sampled_from([BERLIN, TOKYO, NEW_YORK]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)) | st.datetimes(datetime(2026, 10, 24, 22), datetime(2026, 10, 25, 4)) | st.datetimes(datetime(2026, 11, 1, 3), datetime(2026, 11, 1, 9)),
)  # fmt: skip
def test_the_last_and_the_next_time_leave_none_between_them(expression: str, zone: ZoneInfo, moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    last, coming = cron.latest(expression, moment, zone), cron.following(expression, moment, zone)
    assert last <= moment < coming
    assert cron.latest(expression, last, zone) == last and cron.following(expression, last, zone) == coming
    assert cron.latest(expression, coming, zone) == coming
    assert cron.latest(expression, coming - timedelta(microseconds=1), zone) == last


def test_the_longest_gap() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert cron.longest_gap("0 8 * * *", TOKYO, since=since) == timedelta(days=1)
    assert cron.longest_gap("0 8 * * *", BERLIN, since=since) == timedelta(hours=25)
    assert cron.longest_gap("0 8 * * mon-fri", TOKYO, since=since) == timedelta(days=3)
    assert cron.longest_gap("0 8 1 * *", TOKYO, since=since) == timedelta(days=31)
