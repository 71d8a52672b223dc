"""CloudWatch Logs metric filters: checked here, kept by ministack, which lists and deletes them."""

from opslib.sandbox.logs_api import named_group
from opslib.sandbox.metric_filters import check
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState


class MetricFilterApi:
    """PutMetricFilter."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation(
        "logs",
        "PutMetricFilter",
        also_behind=True,
        modelled="plain terms and JSON patterns (= != < <= > >=, *, IS, NOT EXISTS, &&, ||, brackets); value, default value, "
        "unit, dimensions; also of stacks",
        source="API reference; filter pattern syntax",
        difference="column and regular expression patterns answer SandboxNotModelled; counted at once and at each event's own "
        "time; a default value is put for each line that does not match; a filter is never switched off for its many dimensions",
        tested=(
            "test_metric_filters_count_what_is_put",
            "test_a_metric_filter_takes_value_and_dimensions_of_the_line",
            "test_wrong_metric_filters_are_refused",
            "test_json_patterns",
        ),
    )
    def put_metric_filter(self, p: Params) -> None:
        """Make a filter, or change it."""
        named_group(self._state.logs, {"logGroupName": p["logGroupName"]})
        check(p)


APIS = (MetricFilterApi,)
