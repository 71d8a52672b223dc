"""opslib.toml: each mistake gets one error that names file, key and remedy."""

from pathlib import Path

import pytest

from opslib import config
from opslib.errors import ConfigError, SandboxDown

GOOD = 'default = "prod"\n[env.prod]\naccount = "012345678901"\nregion = "ap-northeast-1"\nlog_groups = ["/shop/*"]\n'


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPSLIB_ENV", "OPSLIB_SANDBOX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    return tmp_path


def test_the_default_environment(project: Path) -> None:
    (project / "opslib.toml").write_text(GOOD)
    found = config.load()
    assert (found.name, found.account, found.log_groups) == ("prod", "012345678901", ("/shop/*",))


def test_precedence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "opslib.toml").write_text(GOOD + GOOD.split("\n", 1)[1].replace("prod", "dev"))
    monkeypatch.setenv("OPSLIB_ENV", "dev")
    assert config.load().name == "dev" and config.load("prod").name == "prod"


@pytest.mark.parametrize(
    ("change", "key", "remedy"),
    [
        (('account = "012345678901"', "account = 12345678901"), "'account'", "twelve digits in quotes"),
        (('account = "012345678901"\n', ""), "'account'", "add account"),
        (("region", "regoin"), "'regoin'", "region"),
        (('"ap-northeast-1"', '"tokyo"'), "'region'", "ap-northeast-1"),
        (("log_groups", 'timezone = "Mars/Base"\nlog_groups'), "'timezone'", "do:   write UTC, JST"),
        (("log_groups", "log_groups_extra"), "'log_groups_extra'", "log_groups"),
        (("[env.prod]", "[[schedules]]\n[env.prod]"), "'schedules'", "did you mean 'schedule'?"),
        (
            ("[env.prod]", "[env.sandbox.alerts]\nraise_after_minutes = 5\n[env.prod]"),
            "no [env.sandbox]",
            "another name",
        ),
        (
            ("[env.prod]", "[production]\n[env.prod]"),
            "'production'",
            "known keys: default, env, notebook_paths, schedule",
        ),
        ((GOOD, 'env = "prod"'), "'env'", "write [env.NAME]"),
        ((GOOD, "env.prod = 1"), "'env'", "write [env.NAME]"),
        (("[env.prod]", 'notebook_paths = "books"\n[env.prod]'), "'notebook_paths'", 'notebook_paths = ["FOLDER"]'),
    ],
)
def test_a_wrong_key_is_named(project: Path, change: tuple[str, str], key: str, remedy: str) -> None:
    (project / "opslib.toml").write_text(GOOD.replace(*change))
    with pytest.raises(ConfigError) as caught:
        config.load("prod")
    said = caught.value.text()
    assert key in said and remedy in said and "opslib.toml" in said


def test_an_unknown_environment_is_suggested(project: Path) -> None:
    (project / "opslib.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match="did you mean 'prod'"):
        config.load("prd")
    with pytest.raises(ConfigError) as told:
        config.load("nowhere")
    assert "or choose prod, sandbox" in told.value.text()


def test_broken_toml_names_the_file(project: Path) -> None:
    (project / "opslib.toml").write_text("default = prod")
    with pytest.raises(ConfigError, match=r"opslib\.toml cannot be read"):
        config.load()


def test_no_configuration_at_all() -> None:
    with pytest.raises(ConfigError, match="opslib sandbox start"):
        config.load()


def test_a_section_of_the_sandbox_is_refused_by_the_sandbox_too(project: Path) -> None:
    (project / "opslib.toml").write_text(GOOD + '[env.sandbox]\ntimezone = "UTC"\n')
    with pytest.raises(ConfigError, match=r"there can be no \[env.sandbox\]"):
        config.load("sandbox")


def test_no_sandbox() -> None:
    with pytest.raises(SandboxDown, match="opslib sandbox start"):
        config.load("sandbox")
