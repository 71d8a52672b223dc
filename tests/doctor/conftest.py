"""The sandbox as a strange account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib import aws
from opslib.doctor import discovery, writing
from opslib.sandbox.control import Sandbox
from tests.doctor.strange_account import NAME, PASSWORD, ROOT, Strange


@pytest.fixture(scope="package")
def account(no_aws_variables: None) -> Iterator[Sandbox]:
    """A sandbox of these tests' own, with a replica: its grants and indexes may be broken."""
    with Sandbox(clock="frozen", replica=True) as running:
        yield running


def _profile(account: Sandbox, patch: pytest.MonkeyPatch) -> None:
    for variable, file in {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}.items():
        patch.setenv(variable, str(account.directory / "aws" / file))


@pytest.fixture(scope="package")
def written(account: Sandbox) -> str:
    """What `opslib init` writes of this account."""
    with pytest.MonkeyPatch.context() as patch:
        _profile(account, patch)
        environment, arn = discovery.begin(name=NAME, profile="opslib-sandbox", timezone="Asia/Tokyo")
        return writing.toml(environment, discovery.look(environment), arn=arn)


@pytest.fixture
def strange(account: Sandbox, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Strange]:
    """A project with a profile that leads to the account, and the way to its database in the environment."""
    _profile(account, monkeypatch)
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    monkeypatch.setenv(PASSWORD, Path(account.info["passwords"]["ops_reader"]).read_text())
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    aws.forget()
    yield Strange(tmp_path, account, written)
    account.clear_faults()
    aws.forget()
