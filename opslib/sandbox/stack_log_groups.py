"""Log groups of a stack: in our store, where everybody looks; one that is there already is refused, or taken over as AWS does."""

import importlib
import json
from collections.abc import Callable
from typing import Any

from opslib.sandbox import alarm_store
from opslib.sandbox.service_errors import ServiceError
from opslib.sandbox.services import Region, Services

GROUP = "AWS::Logs::LogGroup"


class AndMore:
    """ministack's way to make or change a resource, and then the properties that it would drop."""

    def __init__(self, theirs: Callable[..., tuple[str, Any]], place: int, add: Callable[[str, Any], None]) -> None:
        self._theirs, self._place, self._add = theirs, place, add

    def __call__(self, *given: Any, **more: Any) -> tuple[str, Any]:
        name, told = self._theirs(*given, **more)
        self._add(name, given[self._place])
        return name, told


class StackLogGroups:
    """What ministack's CloudFormation does to log groups, done to ours too."""

    def __init__(self, services: Services, provisioners: Any) -> None:
        self._services = services
        self._handler: Any = provisioners._RESOURCE_HANDLERS[GROUP]
        self._theirs = dict(self._handler)

    def install(self) -> None:
        """Let stacks make, change, remove and take over groups."""
        update = AndMore(self._theirs["update"], 2, self._put)
        self._handler |= {"create": self._create, "update": update, "delete": self._delete, "import": self._take_over}
        changesets = importlib.import_module("ministack.services.cloudformation.changesets")
        changesets._IMPORT_LOOKUPS[GROUP] = (("LogGroupName",), self._missing)

    def _create(self, logical: str, properties: dict[str, Any], stack: str) -> tuple[str, Any]:
        """Make a group; CloudFormation takes over none by itself."""
        if (name := properties.get("LogGroupName")) in self._region().logs.groups:
            raise ValueError(f"Resource of type '{GROUP}' with identifier '{_key(name)}' already exists.")
        made: tuple[str, Any] = AndMore(self._theirs["create"], 1, self._put)(logical, properties, stack)
        return made

    def _take_over(self, identifier: dict[str, str]) -> tuple[str, Any]:
        """Return a group as it stands; one that no stack made is unknown to ministack until now."""
        made: tuple[str, Any] = self._theirs["create"]("", {"LogGroupName": identifier["LogGroupName"]}, "")
        return made

    def _missing(self, name: str) -> str | None:
        """Return what CloudFormation says when there is no group to take over."""
        there = name in self._region().logs.groups
        return None if there else f"Resource of type '{GROUP}' with identifier '{_key(name)}' was not found."

    def _put(self, name: str, properties: dict[str, Any]) -> None:
        if name not in self._region().logs.groups:
            self._call("CreateLogGroup", logGroupName=name, logGroupClass=properties.get("LogGroupClass"))
        if days := properties.get("RetentionInDays"):
            self._call("PutRetentionPolicy", logGroupName=name, retentionInDays=int(days))
        else:
            self._call("DeleteRetentionPolicy", logGroupName=name)

    def _delete(self, name: str, properties: dict[str, Any]) -> None:
        self._theirs["delete"](name, properties)
        self._region().logs.groups.pop(name, None)

    def _region(self) -> Region:
        return self._services.region(alarm_store.cloudwatch().get_region())

    def _call(self, operation: str, **given: Any) -> None:
        found = self._region().registry.get("logs", operation)
        assert found is not None
        try:
            found.handler(given)
        except ServiceError as error:
            raise ValueError(error.message) from error


def _key(name: str) -> str:
    return json.dumps({"/properties/LogGroupName": name}, separators=(",", ":"))
