"""The database instances of the shop as the control plane knows them: one object for all services of the region."""

import tomllib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from opslib.sandbox.region_state import RegionState

HOME = "ap-northeast-1"
ACCOUNT = "000000000000"
STILL_AVAILABLE, BACK, MENDED = 8.0, 90.0, 2400.0  # seconds after the call of a reboot; a bad one is mended by somebody
VCPUS = {"micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("rds_instances.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Reboot:
    """A reboot under way; what can be seen of it follows from the clock."""

    at: datetime
    failover: bool
    outcome: str = ""  # what a test planned: stuck, incompatible-parameters

    def messages(self) -> list[tuple[float, str, str]]:
        """Return what RDS says of it: seconds after the call, message, category."""
        down = (18.0, "DB instance shutdown", "availability")
        if self.outcome == "stuck":
            return [down]
        if self.outcome:
            return [down, (70.0, "The parameter max_connections was set to a value incompatible with the instance", "configuration change")]  # fmt: skip
        moved = (
            [(12.0, "Multi-AZ instance failover started.", "failover"), (64.0, "Multi-AZ instance failover completed", "failover")]
            if self.failover
            else []
        )  # fmt: skip
        return sorted([down, (55.0, "DB instance restarted", "availability"), *moved])

    def status(self, now: datetime) -> str:
        """Return the status: for some seconds still the one from before."""
        passed = (now - self.at).total_seconds()
        if passed < STILL_AVAILABLE:
            return "available"
        if passed < BACK or (self.outcome == "stuck" and passed < MENDED):
            return "rebooting"
        return self.outcome if self.outcome and passed < MENDED else "available"


class RdsState:
    """Instances (in the shape of DescribeDBInstances, by identifier), parameters and events; changed by whoever acts."""

    def __init__(self, state: RegionState) -> None:
        self.clock = state.clock
        self._reboots: dict[str, Reboot] = {}
        self.cut: dict[str, Callable[[], object]] = {}  # what ends the sessions of an instance, where PostgreSQL runs
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
            self.instances[name] = given
        for event in self.life.get("rds_changes", ()):  # an overlay's: {"instance", "set": {...}}
            self.instances[event["instance"]].update(event["set"])
        for event in self.life.get("maintenance", ()):
            if event["status"] == "pending":
                self.pending.setdefault(event["resource"], []).append(event)

    def settled(self) -> dict[str, dict[str, Any]]:
        """Return the instances as they are now; those with backups can be put back to five minutes ago."""
        for given in self.instances.values():
            if given["BackupRetentionPeriod"]:
                given["LatestRestorableTime"] = self.clock.now().replace(second=0) - timedelta(minutes=5)
        for name, reboot in self._reboots.items():
            instance, now = self.instances[name], self.clock.now()
            instance["DBInstanceStatus"] = reboot.status(now)
            if reboot.failover and now >= reboot.at + timedelta(seconds=BACK) and not reboot.outcome:
                here, there = instance["AvailabilityZone"], instance["SecondaryAvailabilityZone"]
                instance |= {"AvailabilityZone": there, "SecondaryAvailabilityZone": here}
                self._reboots[name] = replace(reboot, failover=False)
        return self.instances

    def reboot(self, name: str, *, failover: bool, outcome: str) -> None:
        """Begin a reboot, which cuts every session; parameters that wait for one are in force after it."""
        self._reboots[name] = Reboot(self.clock.now(), failover, outcome)
        if name in self.cut:
            self.cut[name]()
        for seconds, message, category in self._reboots[name].messages():
            at = self.clock.now() + timedelta(seconds=seconds)
            self._events.append({"at": at.isoformat(), "instance": name, "message": message, "categories": [category]})
        for group in self.instances[name]["DBParameterGroups"]:
            group["ParameterApplyStatus"] = "in-sync"

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
