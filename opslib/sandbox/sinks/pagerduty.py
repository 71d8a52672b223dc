"""What PagerDuty's Events API v2 takes, the incidents that it makes of it, and whom its REST API says it calls."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

EVENTS, CHANGES = "/v2/enqueue", "/v2/change/enqueue"
BYTES = 512 * 1024
SEVERITIES = ("critical", "error", "warning", "info")
SERVICE_ID, POLICY_ID = "PSHOPOPS", "PSHOPESC"
ACTIONS = ("trigger", "acknowledge", "resolve")


def mistakes(path: str, body: Any, key: str) -> list[str]:
    """Return what is wrong with an event, in PagerDuty's manner; nothing when it is taken."""
    if not isinstance(body, Mapping):
        return ["Event object format is unrecognized"]
    routing = body.get("routing_key")
    if not isinstance(routing, str) or len(routing) != 32:
        return ["Length of 'routing_key' is incorrect (should be 32 characters)"]
    if routing != key:
        return ["'routing_key' is invalid"]
    found = [] if path == CHANGES else _event_mistakes(body)
    if path == CHANGES or body.get("event_action") == "trigger":
        found += _payload_mistakes(body.get("payload"), path)
    for link in body.get("links") or []:
        if not isinstance(link, Mapping) or not str(link.get("href", "")).startswith(("http://", "https://")):
            found.append("'links' must be objects with an 'href'")
    return found


def _event_mistakes(body: Mapping[str, Any]) -> list[str]:
    found = []
    if body.get("event_action") not in ACTIONS:
        found.append("'event_action' is missing or invalid")
    key = body.get("dedup_key")
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= 255):
        found.append("'dedup_key' is too long (maximum is 255 characters)")
    if key is None and body.get("event_action") in ("acknowledge", "resolve"):
        found.append("'dedup_key' is missing")
    return found


def _payload_mistakes(payload: Any, path: str) -> list[str]:
    if not isinstance(payload, Mapping):
        return ["'payload' is missing or blank"]
    summary, found = payload.get("summary"), []
    if not isinstance(summary, str) or not summary:
        found.append("'payload.summary' is missing or blank")
    elif len(summary) > 1024:
        found.append("'payload.summary' is too long (maximum is 1024 characters)")
    if path == CHANGES:
        return found
    if not payload.get("source"):
        found.append("'payload.source' is missing or blank")
    if payload.get("severity") not in SEVERITIES:
        found.append(f"'payload.severity' is invalid (must be one of the following: {', '.join(SEVERITIES)})")
    return found


@dataclass
class Incident:
    """One incident as people see it: it opens once, whatever comes again meanwhile."""

    key: str
    summary: str
    severity: str
    opened: str
    status: str = "triggered"
    triggers: int = 1
    resolved: str = ""


def _level(*names: str, minutes: int = 15) -> dict[str, Any]:
    targets = [{"id": f"P{name.upper()}", "type": "schedule_reference", "summary": name} for name in names]
    return {"escalation_delay_in_minutes": minutes, "targets": targets}


@dataclass
class Service:
    """A service of PagerDuty: its incidents by dedup key, and what changed."""

    incidents: list[Incident] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    status: str = "active"
    levels: list[dict[str, Any]] = field(default_factory=lambda: [_level("primary"), _level("secondary", minutes=30)])

    def rest(self, path: str, given: Any = None) -> dict[str, Any] | None:
        """Answer the REST API for the service and its escalation policy, changed first by what a PUT gives; None: not found."""
        if path == f"/services/{SERVICE_ID}":
            self.status = (given or {}).get("service", {}).get("status", self.status)
            policy = {"id": POLICY_ID, "type": "escalation_policy_reference"}
            return {"service": {"id": SERVICE_ID, "name": "shop", "status": self.status, "escalation_policy": policy}}
        if path == f"/escalation_policies/{POLICY_ID}":
            self.levels = (given or {}).get("escalation_policy", {}).get("escalation_rules", self.levels)
            return {"escalation_policy": {"id": POLICY_ID, "name": "shop on call", "escalation_rules": self.levels}}
        return None

    def take(self, path: str, body: Mapping[str, Any], at: str, made: str) -> str:
        """Fold an event in and return its dedup key; `made` is the key of a trigger that has none."""
        if path == CHANGES:
            self.changes.append({"at": at, **body["payload"]})
            return ""
        key = str(body.get("dedup_key") or made)
        held = next((one for one in self.incidents if one.key == key and one.status != "resolved"), None)
        if body["event_action"] == "trigger":
            self._trigger(held, key, body["payload"], at)
        elif held:  # what is not open is neither acknowledged nor resolved, and opens nothing
            held.status = "resolved" if body["event_action"] == "resolve" else "acknowledged"
            held.resolved = at if held.status == "resolved" else ""
        return key

    def _trigger(self, held: Incident | None, key: str, payload: Mapping[str, Any], at: str) -> None:
        if held:
            held.triggers += 1
        else:
            self.incidents.append(Incident(key, payload["summary"], payload["severity"], at))

    def told(self) -> dict[str, Any]:
        """Return incidents and changes as JSON holds them."""
        return {"incidents": [asdict(one) for one in self.incidents], "changes": self.changes}
