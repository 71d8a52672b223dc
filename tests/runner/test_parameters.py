"""Parameters are read by syntax and refused by name, type and meaning before anything runs."""

from typing import Any

import pytest

from opslib.errors import ParameterError, WindowError
from opslib.runner import headless, interactive, parameters, records, runbooks

from .probe import code, notebook

CELL = """request_id: str = "req-000000"  # the id
account: str = ""  # twelve digits
deep: bool = False  # look twice
many: int = 3
share: float = 0.5  # of all, even = and # in "text"
window: str = ""  # empty, or 3h
note: str = (
    "two "
    "lines"
)  # over lines"""


def known() -> dict[str, parameters.Parameter]:
    return parameters.declared(notebook(code(CELL, "parameters")))


def checked(**given: Any) -> dict[str, Any]:
    return parameters.checked("probe", known(), given)


def test_what_is_declared_is_read() -> None:
    found = known()
    assert list(found) == ["request_id", "account", "deep", "many", "share", "window", "note"]
    assert found["many"].default == 3 and found["note"].default == "two lines"
    assert found["share"].help == 'of all, even = and # in "text"' and found["note"].help == "over lines"


def test_a_leading_zero_stays() -> None:
    assert checked(account="012345678901") == {"account": "012345678901"}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("deep", "true", True), ("deep", "false", False), ("many", "-7", -7), ("share", "1e-3", 0.001), ("share", "2", 2.0),
     ("account", "1234e56", "1234e56"), ("account", "1.10", "1.10"), ("account", "no", "no"), ("account", "a=b", "a=b")],
)  # fmt: skip
def test_text_becomes_the_declared_type(name: str, text: str, value: object) -> None:
    found = checked(**{name: text})[name]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("deep", "True"), ("deep", "no"), ("deep", "1"), ("deep", ""), ("many", "3.0"), ("many", "1_000"), ("many", "３"),
     ("many", ""), ("share", "nan"), ("share", "inf"), ("share", "1_0"), ("share", "half")],
)  # fmt: skip
def test_the_wrong_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(ParameterError, match=f"{name}=") as refused:
        checked(**{name: text})
    assert refused.value.why.startswith(f"{name} is declared as") and refused.value.fix


def test_where_the_help_explains_each_word_no_other_is_taken() -> None:
    cell = 'way: str = "retry"  # retry: the same again; as-new: what is newest\nto: str = "db"  # db: or so\njob: str = ""  # empty: all; else: a name'
    found = parameters.declared(notebook(code(cell, "parameters")))
    assert found["way"].words == ("retry", "as-new") and found["to"].words == found["job"].words == ()
    assert parameters.checked("probe", found, {"way": "as-new", "to": "x", "job": "y"})["way"] == "as-new"
    with pytest.raises(ParameterError, match="way='as-old' is none of retry, as-new") as refused:
        parameters.checked("probe", found, {"way": "as-old"})
    assert refused.value.fix == "way: retry: the same again; as-new: what is newest"


@pytest.mark.parametrize("value", [3, None, ["x"], True])
def test_python_values_are_held_to_the_type(value: object) -> None:
    with pytest.raises(ParameterError):
        checked(account=value)


@pytest.mark.parametrize(("name", "near"), [("reqest_id", "request_id"), ("acount", "account")])
def test_a_misspelt_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ParameterError, match=f"did you mean '{near}'"):
        checked(**{name: "x"})


def test_an_unknown_name_gets_the_list() -> None:
    with pytest.raises(ParameterError, match="it takes request_id, account"):
        checked(zzz="x")


@pytest.mark.parametrize(
    "bad", ["", 'x" or 1=1 | fields @message # ', "../../x", "a" * 300, "req-\x07abcdef", "req-1\n"]
)
def test_a_hostile_request_id_is_refused(bad: str) -> None:
    with pytest.raises(ParameterError, match="request_id"):
        checked(request_id=bad)


@pytest.mark.parametrize(
    "bad", ["2026-11-02 11:30/10:00 JST", "2026-11-02 10:00/11:30", "yesterday", "0h", "2026-11-02 10:00/11:30 XYZ"]
)
def test_a_window_that_cannot_be_meant_is_refused(bad: str) -> None:
    with pytest.raises(WindowError):
        checked(window=bad)


@pytest.mark.parametrize(
    "cell",
    ["import os", "a: str = str(3)", "a: list[str] = []", "a: str | None = None", "a = b = 3", "a: int", "a: str = ("],
)
def test_what_is_no_literal_is_refused(cell: str) -> None:
    with pytest.raises(ParameterError, match="line 1 of the parameters cell"):
        parameters.declared(notebook(code(cell, "parameters")))


@pytest.mark.parametrize("hostile", ['"; import os #', "a\nb", "\u202eabc", "\\", "'\"", "日本", "\x00"])
def test_filled_values_are_literals_and_help_stays(hostile: str) -> None:
    filled = parameters.filled(CELL, known(), {"account": hostile, "note": "short", "deep": True})
    again = parameters.declared(notebook(code(filled, "parameters")))
    assert (again["account"].default, again["note"].default, again["deep"].default) == (hostile, "short", True)
    assert [again[name].help for name in again] == [known()[name].help for name in known()]
    assert (len(filled.splitlines()) == 7 and filled.isprintable()) or "\n" in filled


def test_bad_input_leaves_nothing(project) -> None:
    for given in ({"mny": "3"}, {"many": "x"}):
        with pytest.raises(ParameterError):
            headless.run("probe", given)
        with pytest.raises(ParameterError):
            interactive.open_copy("probe", given)
    assert not records.reports().exists()


def test_a_misspelt_runbook_gets_the_nearest(project) -> None:
    with pytest.raises(ParameterError, match="did you mean 'probe'"):
        runbooks.find("prob")
    assert runbooks.find("2-try/probe") == runbooks.find("probe") == runbooks.find("notebooks/2-try/probe.ipynb")
