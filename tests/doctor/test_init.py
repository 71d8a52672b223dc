"""init: what the account has stands in the file, what is open as comments; nothing is ever overwritten."""

import os
import subprocess
import tomllib

import pytest

from opslib import aws, config
from opslib.doctor import discovery, writing
from opslib.errors import ConfigError, IdentityError
from opslib.run import Run
from opslib.runner import runbooks
from tests.doctor.strange_account import NAME, Strange
from tests.warm_commands import OPSLIB


def test_everything_the_account_has_is_found(strange: Strange) -> None:
    found = tomllib.loads(strange.written)
    assert found["default"] == NAME
    prod, known = found["env"][NAME], strange.sandbox.info["environment"]
    assert prod["log_groups"] == ["/shop/*"] and prod["account"] == "000000000000"
    assert prod["services"]["cluster"] == "shop"
    assert sorted(prod["services"]["names"]) == sorted(known["services"]["names"])
    assert prod["frontend"].pop("site") == "https://main.d2shopexample.amplifyapp.com/"
    known["frontend"].pop("site")  # there it is the gateway
    for section in ("load_balancer", "cache", "cdn", "frontend", "health_checks"):
        assert prod[section] == known[section], section
    assert (prod["database"]["instance"], prod["database"]["replicas"]) == ("shop-db", ["shop-db-replica-1"])
    assert "password =" not in strange.written


@pytest.mark.parametrize(
    "said",
    ["who calls whom cannot be seen", "user cannot be seen", "admin_urls cannot be seen", "of the whole account"],
)
def test_what_is_open_is_said(strange: Strange, said: str) -> None:
    assert said in strange.written


def test_a_denied_look_leaves_the_rest(strange: Strange) -> None:
    strange.sandbox.fault(service="rds", kind="access-denied")
    environment, arn = discovery.begin(name=NAME, profile="opslib-sandbox")
    text = writing.toml(environment, discovery.look(environment), arn=arn)
    assert "# ? not looked at: DescribeDBInstances was denied" in text and "# [env.shop.database]" in text
    assert tomllib.loads(text)["env"][NAME]["cdn"]["distribution"] == "E2SHOPEXAMPLE1"


def test_a_file_is_never_overwritten(strange: Strange) -> None:
    strange.file.write_text("mine")
    command = [*OPSLIB, "init", "--profile", "opslib-sandbox"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3 and "is there already" in done.stderr and strange.file.read_text() == "mine"
    other = strange.root / "other.toml"
    done = subprocess.run([*command, "--to", str(other)], env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0 and tomllib.loads(other.read_text())["env"]["prod"]["account"] == "000000000000"


def test_without_credentials_or_region_it_says_how(strange: Strange) -> None:
    with pytest.raises(IdentityError, match="no-such"):
        discovery.begin(name=NAME, profile="no-such")
    with pytest.raises(ConfigError, match="region"):
        discovery.begin(name=NAME, profile="opslib-sandbox", region="moon")


def test_hostile_names_stay_values_and_comments() -> None:
    environment = config.Environment(name="a b", account="000000000000", region="ap-northeast-1", profile='x"\ny = 1')
    found = discovery.Found({"services": {"cluster": 'a"]\n[env.evil]', "names": []}}, {"services": ["2\nlines = 1"]})
    parsed = tomllib.loads(writing.toml(environment, found, arn="arn:x\n[evil]"))
    assert list(parsed) == ["default", "env"] and list(parsed["env"]) == ["a b"]
    assert parsed["env"]["a b"]["services"]["cluster"] == 'a"]\n[env.evil]'


def test_the_written_file_runs_every_runbook(strange: Strange, monkeypatch: pytest.MonkeyPatch) -> None:
    strange.file.write_text(strange.reachable())
    monkeypatch.chdir(strange.root)
    monkeypatch.setenv("OPSLIB_ENV", NAME)
    aws.forget()
    ran = []
    for name, file in runbooks.runbooks():
        notebook = runbooks.read(file)
        if runbooks.described(notebook)["kind"] == "READ-ONLY":
            space: dict[str, object] = {}
            for cell in notebook["cells"]:
                if runbooks.runs(cell):
                    exec(compile(cell["source"], name, "exec"), space)
            run = space["run"]
            assert isinstance(run, Run) and run.environment.name == NAME and not run.environment.sandbox
            ran.append(name)
    assert "2-investigate/failed-jobs" in ran
