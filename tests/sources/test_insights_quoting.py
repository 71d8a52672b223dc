"""Values enter a query as one literal, or not at all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opslib.errors import ParameterError
from opslib.sources import insights_quoting as quoting

HOSTILE = [
    'x" or 1=1 | fields @message # ',
    "../../x",
    "a" * 300,
    "req-1\n2",
    "req-\x00abc",
    "",
    "   ",
    "abc",
    "req-١٢٣٤٥٦",
    "req-abcdef\u202e",
    "$(reboot)",
    "req 123456",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_ids_are_refused(value: str) -> None:
    with pytest.raises(ParameterError) as caught:
        quoting.checked_id(value)
    assert "do:" in caught.value.text()


@pytest.mark.parametrize(
    "value",
    [
        "req-5f0c2e9ab714",
        "req-38101a0b-2096-447d-96ea-a692162415ae",
        "1-6a0a0b0c-0123456789abcdef01234567",
        "Root=1-67891233-abcdef012345678912345678",
    ],
)
def test_real_ids_pass(value: str) -> None:
    assert quoting.checked_id(f" {value} ") == value


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=200))
def test_a_literal_is_one_token(value: str) -> None:
    text = quoting.literal(value)
    assert re.fullmatch(r'"(?:\\[\\"]|[^"\\])*"', text)
    assert re.sub(r'\\([\\"])', r"\1", text[1:-1]) == value


@given(st.text(min_size=1).filter(lambda text: any(ord(character) < 32 for character in text)))
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(ParameterError):
        quoting.literal(value)
