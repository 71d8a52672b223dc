"""CloudWatch Logs: lookup tables, which queries join by `lookup`."""

import csv
import io
from typing import Any

from opslib.sandbox.insights import LookupTable
from opslib.sandbox.logs_api import ACCOUNT, API
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError, invalid

MOST, BYTES = 100, 10 * 2**20


class LookupTables:
    """Tables of CSV text with a head line; the log store hands them to queries."""

    def __init__(self, state: RegionState) -> None:
        self._state, self._tables = state, state.logs.lookup_tables
        self._about: dict[str, dict[str, Any]] = {}

    @operation(
        "logs",
        "CreateLookupTable",
        modelled="a body of CSV with a head line, at most 10 MB; 100 tables",
        source=API + "; Logs Insights quotas",
        difference="no table from a query's result; tags and keys are ignored",
        tested=("test_lookup_tables",),
    )
    def create_lookup_table(self, p: Params) -> dict[str, Any]:
        """Make a table."""
        name = p["lookupTableName"]
        if name in self._tables:
            raise ServiceError("ResourceAlreadyExistsException", f"The lookup table {name} already exists.")
        if len(self._tables) >= MOST:
            raise ServiceError("LimitExceededException", f"An account has at most {MOST} lookup tables.")
        self._keep(name, p)
        return {"lookupTableArn": self._arn(name), "createdAt": self._about[name]["lastUpdatedTime"]}

    @operation(
        "logs", "UpdateLookupTable", modelled="body and description", source=API,
        difference="as CreateLookupTable", tested=("test_lookup_tables",),
    )  # fmt: skip
    def update_lookup_table(self, p: Params) -> dict[str, Any]:
        """Put another body in the place of a table's."""
        name = self._named(p)
        self._keep(name, p)
        return {"lookupTableArn": self._arn(name), "lastUpdatedTime": self._about[name]["lastUpdatedTime"]}

    @operation("logs", "GetLookupTable", modelled="all", source=API, tested=("test_lookup_tables",))
    def get_lookup_table(self, p: Params) -> dict[str, Any]:
        """Answer a table with its body."""
        return self._about[self._named(p)]

    @operation("logs", "DescribeLookupTables", modelled="by name prefix, paging", source=API,
               difference="sorted by name", tested=("test_lookup_tables",))  # fmt: skip
    def describe_lookup_tables(self, p: Params) -> dict[str, Any]:
        """Answer what tables there are, without their bodies."""
        prefix = p.get("lookupTableNamePrefix") or ""
        found = [
            {key: value for key, value in self._about[name].items() if key != "tableBody"}
            | {"tableFields": list(table.columns), "recordsCount": len(table.rows)}
            for name, table in sorted(self._tables.items())
            if name.startswith(prefix)
        ]
        shown, following = page("lookup tables", found, p.get("nextToken"), p.get("maxResults") or 50)
        return {"lookupTables": shown} | ({"nextToken": following} if following else {})

    @operation("logs", "DeleteLookupTable", modelled="all", source=API, tested=("test_lookup_tables",))
    def delete_lookup_table(self, p: Params) -> dict[str, Any]:
        """Remove a table."""
        name = self._named(p)
        del self._tables[name], self._about[name]
        return {}

    def _keep(self, name: str, p: Params) -> None:
        body = p.get("tableBody") or ""
        if p.get("queryId") or not body:
            raise invalid("stand-in: a lookup table is made of a tableBody only")
        if len(body.encode()) > BYTES:
            raise invalid("The table body is larger than 10 MB.")
        head, *rows = [row for row in csv.reader(io.StringIO(body)) if row]
        if len(set(head)) < len(head) or any(len(row) != len(head) for row in rows):
            raise invalid("Every line of a table body has a value for every column, and columns have different names.")
        self._tables[name] = LookupTable(tuple(head), rows)
        self._about[name] = {
            "lookupTableArn": self._arn(name), "lookupTableName": name, "tableBody": body, "sizeBytes": len(body.encode()),
            "description": p.get("description") or "", "lastUpdatedTime": self._state.clock.now_ms(),
        }  # fmt: skip

    def _named(self, p: Params) -> str:
        name: str = p["lookupTableArn"].rpartition(":")[2]
        if name not in self._tables or p["lookupTableArn"] != self._arn(name):
            raise ServiceError("ResourceNotFoundException", "The specified lookup table does not exist.")
        return name

    def _arn(self, name: str) -> str:
        return f"arn:aws:logs:{self._state.name}:{ACCOUNT}:lookup-table:{name}"


APIS = (LookupTables,)
