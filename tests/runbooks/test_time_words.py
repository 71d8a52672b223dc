"""Times in people's words: what is read, what is refused, what is no time."""

from datetime import UTC, datetime

import pytest

from opslib.errors import WindowError
from opslib.runbooks.time_words import read
from opslib.window import zone_named

TOKYO = zone_named("Asia/Tokyo")
NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)  # 11:40 in Tokyo, a Thursday


@pytest.mark.parametrize(
    ("text", "stretch"),
    [
        ("昨日の11時ごろ注文できない", "11-04 10:40/11-04 11:40"),
        ("checkout is slow since 11:20 JST", "11-05 11:10/11-05 11:40"),
        ("since 20 minutes", "11-05 11:10/11-05 11:40"),
        ("１時間ほど前からカートが開かない", "11-05 10:30/11-05 11:40"),
        ("今朝9時半から", "11-05 09:20/11-05 11:40"),
        ("yesterday around 3pm login failed", "11-04 14:40/11-04 15:40"),
        ("昨夜22時", "11-04 21:40/11-04 22:40"),
        ("昨夜1時半ごろ", "11-05 01:10/11-05 02:10"),
        ("11月4日 午後2時5分ごろ", "11-04 13:45/11-04 14:45"),
        ("11/4 14:05 に", "11-04 13:45/11-04 14:45"),
        ("11:00から11:30まで", "11-05 11:00/11-05 11:30"),
        ("between 11:00 and 11:30", "11-05 11:00/11-05 11:30"),
        ("Nov 5, 2026 at 11:12 AM (JST)", "11-05 10:52/11-05 11:40"),
        ("Thursday 05 November, 2026 02:12:00 UTC", "11-05 10:52/11-05 11:40"),
        ("11:00-11:30", "11-05 11:00/11-05 11:30"),
        ("2026-11-04T19:12:00-07:00", "11-05 10:52/11-05 11:40"),
        ("お昼ごろから", "11-04 11:50/11-04 15:00"),
        ("2026-11-05T02:12:00.123+0000", "11-05 10:52/11-05 11:40"),
        ("23:50", "11-04 23:30/11-05 00:30"),
        ("at 10:15 UTC", "11-04 18:55/11-04 19:55"),
        ("月曜の10時", "11-02 09:40/11-02 10:40"),
        ("さっきから重い", "11-05 11:10/11-05 11:40"),
        ("slow for the last 2 hours", "11-05 09:30/11-05 11:40"),
        ("an hour ago", "11-05 10:20/11-05 11:20"),
        ("昨夜から遅い", "11-04 18:00/11-05 11:40"),
        ("last night checkout failed", "11-04 18:00/11-05 06:00"),
        ("昨日から重い", "11-04 09:40/11-05 11:40"),  # no longer than a first look can be
        ("昨日エラーが出た", "11-04 00:00/11-05 00:00"),
        ("今日エラーが出た", "11-05 00:00/11-05 11:40"),
    ],
)
def test_a_time_is_read(text: str, stretch: str) -> None:
    said = read(text, now=NOW, zone=TOKYO)
    assert said is not None
    assert "/".join(f"{moment.astimezone(TOKYO):%m-%d %H:%M}" for moment in (said.start, said.end)) == stretch
    assert said.start.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["hello", "3 items could not be bought", "注文 3000123 が見えない", "version 2.1 of api", ""]
)
def test_what_names_no_time_is_none(text: str) -> None:
    assert read(text, now=NOW, zone=TOKYO) is None


@pytest.mark.parametrize("text", ["at 25:70", "11月31日 10時", "2026-11-06 10:00", "今日の15時から", "tomorrow at 3pm"])
def test_a_time_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(WindowError):
        read(text, now=NOW, zone=TOKYO)
