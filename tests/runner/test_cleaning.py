"""No secret stays in a record: outputs, errors, parameters, data files, the page."""

import json
from pathlib import Path

import pytest

from opslib.runner import cells, cleaning, headless, runbooks

from .probe import LEDGER, code, markdown, notebook, summary_in

KEY = "AKIA" + "Q3EXAMPLEKEY7ABC"
PLANTED = {
    "output": "opensesame-1", "error": "opensesame-2", "parameter": "opensesame-3", "data": "opensesame-4",
    "result": "opensesame-5", "json": "opensesame-6", "argument": "opensesame-7",
}  # fmt: skip
TELL = f"""import os
print("password=" + {"opensesame-"!r} + "1", {"AKIA"!r} + "Q3EXAMPLEKEY7ABC", "mail to suzuki" + "@example.com")
os.makedirs("data", exist_ok=True)
open("data/lines.csv", "w").write('"secret=' + {"opensesame-"!r} + '4","ok"\\n')
open("data/raw.bin", "wb").write(bytes(range(256)))
note(event="result", name="a", title="t", verdict="ok", sight="complete", reason="", sentence="token: " + {"opensesame-"!r} + "5", facts={{}}, next=[], data=[], parts=[])
from IPython.display import JSON
JSON({{"api_key": {"opensesame-"!r} + "6", "kept": "plain"}})"""
CONNECT = """def connect(**given): raise RuntimeError("no way in: password=" + "opensesame-" + "2")
connect(user="ops")"""


@pytest.fixture(scope="module")
def told(project: Path) -> Path:
    cell = code('api_token: str = "opensesame-3"  # never do this\nnote_text: str = "x"  # free', "parameters")
    book = notebook(markdown("# Tell"), cell, code(LEDGER), code(TELL), code(CONNECT))
    runbooks.write(project / "notebooks" / "2-try" / "tell.ipynb", book)
    return headless.run("tell", {"note_text": "client_secret=opensesame-7"})[0]


@pytest.mark.parametrize("where", PLANTED)
def test_nothing_planted_stays(told: Path, where: str) -> None:
    found = [file.name for file in told.rglob("*") if file.is_file() and PLANTED[where].encode() in file.read_bytes()]
    assert not found


def test_other_kinds_go_too(told: Path) -> None:
    texts = [file.read_text() for file in told.glob("*.*")]
    assert not [text for text in texts if KEY in text or "suzuki@example.com" in text]
    assert "[redacted:aws-key-id]" in texts[0] + texts[1]


def test_what_is_no_secret_stays(told: Path) -> None:
    assert (told / "data" / "lines.csv").read_text() == '"secret=[redacted]","ok"\n'
    assert summary_in(told)["not_redacted"] == ["data/raw.bin"] and "plain" in (told / "record.ipynb").read_text()


def test_colours_do_not_hide_a_secret() -> None:
    coloured = 'connect(password\x1b[38;5;241m=\x1b[39m\x1b[33m"opensesame"\x1b[39m)'
    assert cleaning.clean(coloured) == 'connect(password="[redacted]")'
    assert cleaning.clean("\x1b[31mplain\x1b[0m") == "\x1b[31mplain\x1b[0m"


def test_cleaning_twice_changes_nothing(told: Path) -> None:
    book = json.loads((told / "record.ipynb").read_text())
    assert cleaning.clean(book) == book


@pytest.mark.parametrize("place", range(-30, 31, 3))
def test_a_flood_is_not_cut_in_the_middle_of_a_secret(place: int) -> None:
    secret, half = f"AKIA{'Q7' * 8}", cells.LONGEST_TEXT // 2
    line = "x " * (half + place)
    text = f"{line[: half + place]} {secret} {line}{line} {secret} {line[: half + place]}"
    output = {"output_type": "stream", "name": "stdout", "text": text}
    made = notebook({**code("1"), "outputs": [output], "execution_count": 1})
    cells.settle(made)
    kept = cleaning.clean(made)["cells"][0]["outputs"][0]["text"]
    assert "characters left out" in kept and "Q7Q7" not in kept
