"""opslib.toml as `opslib init` writes it: what was found as values, what is open as comments; never over a file that is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from opslib.config import Environment
from opslib.doctor.discovery import Found
from opslib.errors import ConfigError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
SCHEDULES = """
# ? What runs by itself (`opslib schedule cron`, or `schedule plan` for Fargate): take off the marks of what you want.
# [[schedule]]
# name = "morning"
# notebook = "1-monitor/daily-health"
# cron = "30 8 * * *"
#
# [[schedule]]
# name = "suspicious"
# notebook = "1-monitor/suspicious-operations"
# cron = "*/15 * * * *"
# window = "15m"
# parameters = { detections = "cheap" }
# quiet = true
"""


def toml(environment: Environment, found: Found, *, arn: str) -> str:
    """Return the text of the file; each remark stands as a comment above what it is about."""
    name, own = environment.name, found.sections.get("", {})
    head = {
        "account": environment.account,
        "region": environment.region,
        "profile": environment.profile,
        "timezone": environment.timezone,
        **own,
    }
    lines = [
        f"# Written by `opslib init` as {_plain(arn)}. Comments that begin with ? are for you to decide.",
        f"default = {_value(name)}",
        "",
    ]
    lines += [*_remarks(found, ""), "# ? timezone is how times are shown; admin_urls cannot be seen:",
              '# admin_urls = { user = "https://admin.example.com/users/{user_id}" }', f"[env.{_key(name)}]"]  # fmt: skip
    lines += [f"{key} = {_value(value)}" for key, value in head.items() if value not in ("", None)]
    names = dict.fromkeys([*(one for one in found.sections if one), *(one for one in found.remarks if one)])
    for section in names:
        lines += ["", *_remarks(found, section)]
        values = found.sections.get(section)
        if values is None:
            lines.append(f"# [env.{_key(name)}.{section}]")
            continue
        lines.append(f"[env.{_key(name)}.{section}]")
        lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items() if value not in ("", None)]
    return "\n".join(lines) + f"\n{SCHEDULES}"


def write(file: Path, text: str) -> None:
    """Write a file that is not there yet; raises ConfigError when it is, or cannot be written."""
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        fix = "opslib init --to FILE writes beside it; copy what you want by hand"
        raise ConfigError(f"{file} is there already", why="it is never overwritten", fix=fix) from None
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written", why=error.strerror or str(error), fix="choose another place with --to"
        ) from None


def _remarks(found: Found, section: str) -> list[str]:
    return [f"# ? {_plain(text)}" for text in found.remarks.get(section, [])]


def _plain(text: str) -> str:
    """A comment is one line of printable characters."""
    return re.sub(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\uffef]", " ", text)


def _value(value: Any) -> str:
    """Return a value as TOML: JSON's strings, numbers and lists are TOML's too."""
    return json.dumps(value if not isinstance(value, tuple) else list(value), ensure_ascii=True)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=True)
