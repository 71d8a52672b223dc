"""The database instances of the shop as the control plane knows them: one object for all services of the region."""

import tomllib
from copy import deepcopy
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from opslib.sandbox.region_state import RegionState

HOME = "ap-northeast-1"
ACCOUNT = "000000000000"
VCPUS = {"micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("rds_instances.toml").read_text(encoding="utf-8"))


class RdsState:
    """Instances (in the shape of DescribeDBInstances, by identifier), parameters and events; changed by whoever acts."""

    def __init__(self, state: RegionState) -> None:
        self.clock = state.clock
        self.life = state.events
        self.instances: dict[str, dict[str, Any]] = {}
        self.parameters: dict[str, dict[str, str]] = {}
        self.pending: dict[str, list[dict[str, Any]]] = {}  # maintenance by instance
        self._events: list[dict[str, Any]] = []
        if state.name == HOME:
            self._fill()

    def _fill(self) -> None:
        data = deepcopy(_data())
        self.parameters = data["parameters"]
        for given in data["instances"]:
            name = given["DBInstanceIdentifier"]
            given["DBInstanceArn"] = f"arn:aws:rds:{HOME}:{ACCOUNT}:db:{name}"
            given["InstanceCreateTime"] = datetime.fromisoformat(given["InstanceCreateTime"])
            given["LatestRestorableTime"] = self.clock.now().replace(second=0) - timedelta(minutes=5)
            self.instances[name] = given
        for event in self.life.get("rds_changes", ()):  # an overlay's: {"instance", "set": {...}}
            self.instances[event["instance"]].update(event["set"])
        for event in self.life.get("maintenance", ()):
            if event["status"] == "pending":
                self.pending.setdefault(event["resource"], []).append(event)

    def by_resource_id(self, resource_id: str) -> dict[str, Any] | None:
        """Return the instance with a DbiResourceId."""
        return next((each for each in self.instances.values() if each["DbiResourceId"] == resource_id), None)

    def vcpus(self, name: str) -> int:
        """Return how many virtual CPUs an instance has, by its class."""
        return VCPUS[self.instances[name]["DBInstanceClass"].rpartition(".")[2]]

    def parameter(self, name: str, parameter: str) -> str:
        """Return the value of a parameter as an instance's group sets it."""
        group = self.instances[name]["DBParameterGroups"][0]["DBParameterGroupName"]
        return self.parameters[group].get(parameter, "")

    def say(self, instance: str, message: str, *categories: str) -> None:
        """Note an event of an instance, now."""
        about = {"at": self.clock.now().isoformat(), "instance": instance, "message": message}
        self._events.append({**about, "categories": list(categories)})

    def events(self) -> list[dict[str, Any]]:
        """Return all events (at, instance, message, categories), oldest first: of maintenance, of overlays, of actions."""
        found = [
            {
                "at": each[when],
                "instance": each["resource"],
                "categories": ["maintenance"],
                "message": text + each["what"],
            }
            for each in self.life.get("maintenance", ())
            if each["status"] == "completed" and "without work" not in each["what"]
            for when, text in (("start", "Applying maintenance: "), ("end", "Finished maintenance: "))
        ]
        for each in self.life.get("rds_events", ()):
            found.append({"instance": "shop-db", "categories": [], **each})
        found += self._backups() + self._events
        return sorted(found, key=lambda each: datetime.fromisoformat(each["at"]))

    def _backups(self) -> list[dict[str, Any]]:
        """Automated backups of the primary, each night in its window."""
        first = self.clock.now().replace(hour=17, minute=2, second=11, microsecond=0)
        nights = [first - timedelta(days=day) for day in range(-1, 15)]
        return [
            {"at": (night + timedelta(minutes=after)).isoformat(), "instance": "shop-db", "categories": ["backup"],
             "message": message}
            for night in nights
            for after, message in ((0, "Backing up DB instance"), (6, "Finished DB Instance backup"))
            if night + timedelta(minutes=after) <= self.clock.now() and self.instances
        ]  # fmt: skip
