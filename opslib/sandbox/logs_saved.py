"""CloudWatch Logs: saved queries and field indexes."""

import uuid
from typing import Any

import orjson

from opslib.sandbox.clock import Clock
from opslib.sandbox.log_store import LogGroup, LogStore
from opslib.sandbox.logs_api import API, group_arn, group_name, named_group
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.service_errors import ServiceError, invalid

DEFAULT_INDEXES = ("@logStream", "@aws.region", "@aws.account", "@source.log", "traceId", "severityText")
MAX_FIELDS = 20
_IDS = uuid.UUID("6f70736c-6962-4000-8000-646566696e65")


class LogsSaved:
    """Query definitions and index policies."""

    def __init__(self, store: LogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._definitions: dict[str, dict[str, Any]] = {}
        self._made = 0

    @operation(
        "logs",
        "PutQueryDefinition",
        modelled="create, and update by id",
        source=API,
        difference="the query is not compiled; clientToken is ignored",
        tested=("test_query_definitions",),
    )
    def put_query_definition(self, p: Params) -> dict[str, Any]:
        """Save a query under a name."""
        known = p.get("queryDefinitionId")
        if known and known not in self._definitions:
            raise ServiceError("ResourceNotFoundException", f"Query definition {known} does not exist.")
        self._made += 1
        saved_id = known or str(uuid.uuid5(_IDS, str(self._made)))
        kept = {key: p[key] for key in ("name", "queryString", "logGroupNames", "parameters") if p.get(key)}
        self._definitions[saved_id] = {
            "queryDefinitionId": saved_id,
            "queryLanguage": p.get("queryLanguage") or "CWLI",
            "lastModified": self._clock.now_ms(),
            **kept,
        }
        return {"queryDefinitionId": saved_id}

    @operation(
        "logs",
        "DescribeQueryDefinitions",
        modelled="by name prefix, paging",
        source=API,
        difference="sorted by name; 50 a page when maxResults is not given, which AWS does not document",
        tested=("test_query_definitions",),
    )
    def describe_query_definitions(self, p: Params) -> dict[str, Any]:
        """Answer the saved queries."""
        prefix = p.get("queryDefinitionNamePrefix") or ""
        found = sorted(
            (saved for saved in self._definitions.values() if saved["name"].startswith(prefix)),
            key=lambda saved: (saved["name"], saved["queryDefinitionId"]),
        )
        shown, following = page("definitions", found, p.get("nextToken"), p.get("maxResults") or 50)
        return {"queryDefinitions": shown} | ({"nextToken": following} if following else {})

    @operation("logs", "DeleteQueryDefinition", modelled="all", source=API, tested=("test_query_definitions",))
    def delete_query_definition(self, p: Params) -> dict[str, Any]:
        """Delete a saved query."""
        if self._definitions.pop(p["queryDefinitionId"], None) is None:
            raise ServiceError("ResourceNotFoundException", "The specified query definition does not exist.")
        return {"success": True}

    @operation(
        "logs",
        "PutIndexPolicy",
        modelled="Fields, at most 20",
        source=API,
        difference="FieldsV2 is refused; an index changes neither the cost nor the speed of a query",
        tested=("test_field_indexes",),
    )
    def put_index_policy(self, p: Params) -> dict[str, Any]:
        """Set the indexed fields of a group."""
        group = self._named(p["logGroupIdentifier"])
        _indexed(p["policyDocument"])
        group.index_policy = (p["policyDocument"], self._clock.now_ms())
        return {"indexPolicy": _policy(group, self._store.region)}

    @operation(
        "logs",
        "DescribeIndexPolicies",
        modelled="policies of log groups",
        source=API,
        difference="no policies of the account",
        tested=("test_field_indexes",),
    )
    def describe_index_policies(self, p: Params) -> dict[str, Any]:
        """Answer the index policy of a group."""
        groups = [self._named(identifier) for identifier in p["logGroupIdentifiers"]]
        return {"indexPolicies": [_policy(group, self._store.region) for group in groups if group.index_policy]}

    @operation("logs", "DeleteIndexPolicy", modelled="all", source=API, tested=("test_field_indexes",))
    def delete_index_policy(self, p: Params) -> dict[str, Any]:
        """Remove the index policy of a group."""
        self._named(p["logGroupIdentifier"]).index_policy = None
        return {}

    @operation(
        "logs",
        "DescribeFieldIndexes",
        modelled="categories CUSTOM and DEFAULT; events put after the policy count",
        source=API + "; field index guide",
        difference="no AUTO and no INACTIVE indexes; every event after the policy is taken to hold the field",
        tested=("test_field_indexes",),
    )
    def describe_field_indexes(self, p: Params) -> dict[str, Any]:
        """Answer the indexed fields of some groups."""
        categories = p.get("indexCategories") or ["DEFAULT", "CUSTOM"]
        indexes = [
            index
            for identifier in p["logGroupIdentifiers"]
            for index in _indexes(self._named(identifier), self._store.region, self._clock.now_ms())
            if index["indexCategory"] in categories
        ]
        shown, following = page("indexes", indexes, p.get("nextToken"), 100)
        return {"fieldIndexes": shown} | ({"nextToken": following} if following else {})

    def _named(self, identifier: str) -> LogGroup:
        return named_group(self._store, {"logGroupName": group_name(identifier)})


def _indexed(document: str) -> list[str]:
    try:
        policy = orjson.loads(document)
        fields = policy["Fields"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise invalid("The policyDocument must be a JSON object with Fields.") from error
    if not isinstance(fields, list) or not all(isinstance(name, str) and name for name in fields):
        raise invalid("Fields must be a list of field names.")
    if not 1 <= len(fields) <= MAX_FIELDS:
        raise ServiceError("LimitExceededException", f"An index policy can have at most {MAX_FIELDS} fields.")
    return fields


def _policy(group: LogGroup, region: str) -> dict[str, Any]:
    document, updated = group.index_policy or ("", 0)
    return {
        "logGroupIdentifier": group_arn(group.name, region),
        "lastUpdateTime": updated,
        "policyDocument": document,
        "source": "LOG_GROUP",
    }


def _indexes(group: LogGroup, region: str, now: int) -> list[dict[str, Any]]:
    document, updated = group.index_policy or (None, 0)
    since_policy = [stamp for stamp, put in zip(group.timestamps, group.ingestions, strict=True) if put >= updated]
    found = [("CUSTOM", name, since_policy) for name in (_indexed(document) if document else ())]
    found += [("DEFAULT", name, group.timestamps) for name in DEFAULT_INDEXES]
    common = {"logGroupIdentifier": group_arn(group.name, region), "type": "FIELD_INDEX", "lastScanTime": now}
    return [
        common
        | {"fieldIndexName": name, "indexCategory": category}
        | ({"firstEventTime": stamps[0], "lastEventTime": stamps[-1]} if stamps else {})
        for category, name, stamps in found
    ]
