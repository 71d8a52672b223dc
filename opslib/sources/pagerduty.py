"""PagerDuty's REST API v2, read only: whom a service calls, and who is next when nobody answers."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

SECONDS, BYTES = 8.0, 1_000_000
LEVELS = {"service": "str", "status": "str", "policy": "str", "level": "int64", "who": "str", "minutes": "float64"}


def levels(environment: Environment) -> pd.DataFrame:
    """Return the levels of the escalation policy of `pagerduty_service` (GET /services/ID, /escalation_policies/ID).

    Columns: service, status (active, warning, critical, maintenance or disabled), policy, who (names, parted by commas)
    str; level int64, from 1 on; minutes float64 until the next one. A policy without levels is one row of level 0. The
    key is read by its name when it is needed (secretsmanager:GetSecretValue) and kept nowhere. Raises ConfigError when
    none is configured, SourceError.
    """
    service, name = environment.alerts.pagerduty_service, environment.alerts.pagerduty_token
    if not (service and name):
        what = "pagerduty_service" if not service else "pagerduty_token"
        fix = f'add {what} = "…" to [env.{environment.name}.alerts]; the token is a secret\'s name, its key read-only'
        raise ConfigError("whom PagerDuty calls is not known", why=f"{what} is not configured", fix=fix)
    key = str(aws.ask(environment, "secretsmanager", "get_secret_value", SecretId=name)["SecretString"]).strip()
    told = _get(environment, key, "services", service, "service")
    policy = _get(environment, key, "escalation_policies", str(told["escalation_policy"]["id"]), "escalation_policy")
    about = {"service": told.get("name", service), "status": told.get("status", ""), "policy": policy.get("name", "")}
    rows = [
        {**about, "level": number, "minutes": rule.get("escalation_delay_in_minutes"), "who": ", ".join(one.get("summary") or one["id"] for one in rule.get("targets", []))}
        for number, rule in enumerate(policy.get("escalation_rules", []), 1)
    ]  # fmt: skip
    return frames.made(rows or [{**about, "level": 0, "who": "", "minutes": None}], LEVELS)


class _Nowhere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the key would be sent along."""


def _get(environment: Environment, key: str, kind: str, id: str, field: str) -> dict[str, Any]:
    if not re.fullmatch(r"[A-Za-z0-9]{3,32}", id):
        raise ConfigError(f"{id!r} is no id of PagerDuty", why="ids are letters and digits, such as P1A2B3C")
    headers = {"Accept": "application/vnd.pagerduty+json;version=2", "Authorization": f"Token token={key}", "User-Agent": "opslib"}  # fmt: skip
    direct = [urllib.request.ProxyHandler({})] if environment.sandbox else []
    asked = urllib.request.Request(f"{environment.alerts.pagerduty_api}/{kind}/{id}", headers=headers)
    try:
        with urllib.request.build_opener(_Nowhere, *direct).open(asked, timeout=SECONDS) as answer:
            return dict(json.loads(answer.read(BYTES))[field])
    except urllib.error.HTTPError as error:
        denied = error.code in {401, 403}
        why = f"HTTP {error.code} for {kind}/{id}"
        raise SourceError(f"PagerDuty {'refused the key' if denied else 'did not tell'}", why=why, fix="try the read-only key and the id in PagerDuty", sight="denied" if denied else "error") from None  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, HTTPException) as error:
        raise SourceError("PagerDuty did not answer", why=type(error).__name__, fix="look at status.pagerduty.com") from None  # fmt: skip
