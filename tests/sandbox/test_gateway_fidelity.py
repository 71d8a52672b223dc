"""FIDELITY.md says what the code declares, and the tests that it names exist."""

import re
from pathlib import Path

from opslib.sandbox import fidelity
from opslib.sandbox.operations import declarations
from opslib.sandbox.protocol import model_of
from opslib.sandbox.services import OWNERS

DECLARED = [each for owner in OWNERS for each in declarations(owner)]


def test_fidelity_is_up_to_date() -> None:
    written = fidelity.PATH.read_text(encoding="utf-8")
    assert written == fidelity.text(), "run: python -m opslib.sandbox.fidelity"


def test_every_operation_is_one_of_aws_and_names_its_tests() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    written = set(re.findall(r"^def (test_\w+)", sources, flags=re.MULTILINE))
    for declared in DECLARED:
        assert declared.operation in model_of(declared.service).operation_names
        assert declared.tested and set(declared.tested) <= written, declared
