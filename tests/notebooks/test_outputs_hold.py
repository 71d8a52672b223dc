"""Committed outputs hold on a machine whose time zone is UTC; a file a zone, as a file is a worker's."""

import pytest

from tests.notebooks.nbval_run import strict_nbval


@pytest.mark.timeout(900)
def test_strict_nbval(sandbox) -> None:
    strict_nbval(sandbox.environ, "UTC")
