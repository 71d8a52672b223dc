"""What counts as suspicious: [env.NAME.detections] of opslib.toml. Every default is one that a quiet shop stays below."""

from __future__ import annotations

from pydantic import Field

from opslib.config_sections import Strict


class Detections(Strict):
    """The thresholds of the detections: a finding begins at the number named, within the span named, anywhere in time."""

    burst_failures: int = Field(default=10, ge=2)  # failed logins of one account
    burst_minutes: float = Field(default=10, gt=0, le=60)
    slow_failures: int = Field(default=25, ge=2)  # and over hours, for who waits between two tries
    slow_hours: float = Field(default=12, gt=0, le=24)
    success_minutes: float = Field(default=15, gt=0, le=60)  # so soon after a burst a login is taken for a broken one
    spray_accounts: int = Field(
        default=5, ge=2
    )  # accounts that fail from one address; from a /24 twice, a /16 four times as many
    spray_minutes: float = Field(default=10, gt=0, le=60)
    spray_slow_accounts: int = Field(default=20, ge=2)
    spray_slow_hours: float = Field(default=6, gt=0, le=24)
    probe_denials: int = Field(default=15, ge=2)  # refusals of one actor, on so many different things
    probe_objects: int = Field(default=5, ge=1)
    probe_minutes: float = Field(default=10, gt=0, le=60)
    delete_rows: int = Field(default=20, ge=2)  # deletions of one actor
    delete_minutes: float = Field(default=5, gt=0, le=60)
    delete_hourly: int = Field(default=50, ge=2)  # different things deleted by one actor in an hour
    export_count: int = Field(default=10, ge=1)  # exports of one actor in an hour
    export_rows: int = Field(default=10_000, ge=1)  # rows exported by one actor in an hour (detail.rows)
    access_objects: int = Field(default=100, ge=2)  # different things one actor touched in an hour
    times_usual: float = Field(default=2, ge=1)  # exports, accesses: and so many times the actor's own greatest hour
    sequence_ids: int = Field(default=50, ge=5)  # numbers in a row by one actor
    sequence_share: float = Field(default=0.7, gt=0, le=1)  # of the steps from one to the next that are one
    cadence_events: int = Field(default=20, ge=5)  # operations at equal distances
    cadence_variation: float = Field(default=0.1, gt=0, le=1)  # standard deviation of the distances by their mean
    key_addresses: int = Field(default=4, ge=2)  # different addresses in an hour for one key or one administrator
    grant_hours: float = Field(default=24, gt=0, le=168)  # given, used and taken back within
    new_days: int = Field(default=30, ge=1, le=365)  # an action or network is new that was not seen for so long
    known_events: int = Field(default=5, ge=1)  # operations that make a history
    usual_days: int = Field(default=3, ge=1)  # days on which an hour was worked in makes it usual
    dormant_days: int = Field(default=60, ge=1, le=365)
    history_days: int = Field(default=90, ge=14, le=400)  # how far back habits are read from audit_logs
    gap_minutes: float = Field(default=30, gt=0)  # no operation at all for so long, and
    gap_times: float = Field(default=5, ge=1)  # so many times the longest usual pause (99 of 100 are shorter)
    missing_ids: int = Field(default=5, ge=1)  # rows that only one of table and log has, or neither in a row
    expected: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # detection: who (may hold *) is not told of
