"""Amplify, CloudFront, Route 53 and ACM as sources over the frozen sandbox, and answers that lack what is optional."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from botocore.stub import Stubber

from opslib import aws, config
from opslib.errors import SourceError
from opslib.sandbox.control import Sandbox
from opslib.sources import amplify, certificates, cloudfront, route53
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
MONTH = Window(NOW - timedelta(days=30), NOW, UTC)
PRODUCT = "arn:aws:acm:us-east-1:000000000000:certificate/5a1c6c1e-0b1f-4f0e-9a54-5e0000000001"


@pytest.fixture
def environment(sandbox: Sandbox) -> config.Environment:
    return config.load("sandbox")


def stubbed(
    environment: config.Environment, service: str, operation: str, answer: dict[str, Any], region: str = ""
) -> Stubber:
    stub = Stubber(aws.client(environment, service, region=region))
    stub.add_response(operation, answer)
    return stub


def test_jobs_of_a_month_newest_first_over_pages(environment: config.Environment) -> None:
    every = amplify.jobs(environment, window=MONTH, every_branch=True)
    main = amplify.jobs(environment, window=MONTH)
    assert len(every) == 64 and set(main["branch"]) == {"main"} and every["started"].is_monotonic_decreasing
    assert len(main) == (every["branch"] == "main").sum() and set(every["status"]) == {"SUCCEED", "FAILED"}
    assert str(every["finished"].dtype) == "datetime64[ns, UTC]" and every["finished"].notna().all()


def test_a_job_that_began_before_the_window_is_in_it_while_it_runs(environment: config.Environment) -> None:
    job = amplify.jobs(environment, window=MONTH).iloc[0]
    middle = job["started"].to_pydatetime() + timedelta(seconds=60)
    around = [Window(middle, middle + timedelta(seconds=1), UTC), Window(middle - timedelta(days=1), middle, UTC)]
    assert [list(amplify.jobs(environment, window=window)["job"])[:1] for window in around] == [[job["job"]]] * 2
    after = Window(job["finished"].to_pydatetime() + timedelta(seconds=1), NOW, UTC)
    assert not len(amplify.jobs(environment, window=after))


def test_the_failing_step_and_the_end_of_its_log(environment: config.Environment) -> None:
    jobs = amplify.jobs(environment, window=MONTH, every_branch=True)
    failed = jobs[jobs["status"] == "FAILED"].iloc[0]
    steps = amplify.job_steps(environment, branch=failed["branch"], job=failed["job"])
    tail = amplify.log_tail(environment, branch=failed["branch"], job=failed["job"], lines=3)
    assert list(steps["status"]) == ["FAILED"] and steps["seconds"].iloc[0] > 60
    assert (
        tail.attrs["step"] == "BUILD"
        and tail["line"].iloc[-1].endswith("Command failed with exit code 1")
        and len(tail) == 3
    )


def test_a_log_is_fetched_from_aws_only(environment: config.Environment) -> None:
    step = {"stepName": "BUILD", "startTime": NOW, "endTime": NOW, "status": "FAILED"}
    summary = {
        "jobArn": "a",
        "jobId": "1",
        "commitId": "c",
        "commitMessage": "",
        "commitTime": NOW,
        "startTime": NOW,
        "status": "NEW",
        "jobType": "RELEASE",
    }
    for url in (
        "http://169.254.169.254/latest/meta-data/",
        "https://evil.example/x.amazonaws.com",
        "file:///etc/passwd",
        "http://s3.amazonaws.com/log",
    ):
        with (
            stubbed(
                environment, "amplify", "get_job", {"job": {"summary": summary, "steps": [{**step, "logUrl": url}]}}
            ),
            pytest.raises(SourceError, match="not fetched"),
        ):
            amplify.log_tail(environment, branch="main", job="1")
    with (
        stubbed(environment, "amplify", "get_job", {"job": {"summary": summary, "steps": [step]}}),
        pytest.raises(SourceError, match="has no log"),
    ):
        amplify.log_tail(environment, branch="main", job="1")


def test_the_distribution(environment: config.Environment) -> None:
    row = cloudfront.distribution(environment).iloc[0]
    assert (row["distribution"], row["status"], row["aliases"]) == ("E2SHOPEXAMPLE1", "Deployed", "www.shop.example")
    assert (row["cache_policy"], row["uncached"], row["certificate"]) == ("CachingOptimized", "/api/*", PRODUCT)
    assert row["last_modified"] == NOW - timedelta(days=9, hours=3)


def test_a_distribution_with_little_said(environment: config.Environment) -> None:
    told = {"Id": "E2SHOPEXAMPLE1", "ARN": "a", "Status": "Odd", "LastModifiedTime": NOW, "InProgressInvalidationBatches": 0, "DomainName": "d",
            "DistributionConfig": {"CallerReference": "r", "Origins": {"Quantity": 1, "Items": [{"Id": "o", "DomainName": "o.example"}]}, "Comment": "", "Enabled": False,
                                   "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all"}}}  # fmt: skip
    with stubbed(environment, "cloudfront", "get_distribution", {"Distribution": told}, "us-east-1"):
        row = cloudfront.distribution(environment).iloc[0]
    assert (row["status"], row["cache_policy"], row["uncached"], row["enabled"], row["certificate"]) == (
        "Odd",
        "legacy settings",
        "",
        False,
        "",
    )


def test_no_invalidations(environment: config.Environment) -> None:
    with stubbed(
        environment,
        "cloudfront",
        "list_invalidations",
        {"InvalidationList": {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 0}},
        "us-east-1",
    ):
        assert not len(cloudfront.invalidations(environment))


def test_health_by_checker(environment: config.Environment) -> None:
    check = route53.health_checks(environment).iloc[0]
    assert (check["name"], check["healthy"], check["checkers"], check["failing"]) == ("www.shop.example", True, 16, 0)
    assert check["target"] == "https://www.shop.example:443/" and check["reason"].startswith("Success")
    assert len(route53.checkers(environment)) == 16


@pytest.mark.parametrize(
    ("bad", "inverted", "healthy"), [(13, False, True), (14, False, False), (14, True, True), (16, False, False)]
)
def test_an_endpoint_is_healthy_while_more_than_18_percent_say_so(
    environment: config.Environment, bad: int, inverted: bool, healthy: bool
) -> None:
    stub = stubbed(environment, "route53", "get_health_check", {"HealthCheck": {"Id": "x", "CallerReference": "r", "HealthCheckVersion": 1,
                   "HealthCheckConfig": {"Type": "HTTPS", "Inverted": inverted}}}, "us-east-1")  # fmt: skip
    seen = [{"StatusReport": {"Status": "Failure: DNS resolution failed"}}] * bad + [
        {"StatusReport": {"Status": "Success"}}
    ] * (16 - bad)
    stub.add_response("get_health_check_status", {"HealthCheckObservations": seen})
    with stub:
        row = route53.health_checks(environment).iloc[0]
    assert (row["healthy"], row["failing"], row["reason"]) == (healthy, bad, "Failure: DNS resolution failed")


def test_a_calculated_check_has_no_checkers(environment: config.Environment) -> None:
    answer = {
        "HealthCheck": {
            "Id": "x",
            "CallerReference": "r",
            "HealthCheckVersion": 1,
            "HealthCheckConfig": {"Type": "CALCULATED"},
        }
    }
    with stubbed(environment, "route53", "get_health_check", answer, "us-east-1"):
        row = route53.health_checks(environment).iloc[0]
    assert row["healthy"] is pd.NA and row["reason"] == "no checker looks"


def test_where_a_name_points(environment: config.Environment) -> None:
    www, reads = (route53.records(environment, name=name) for name in ("www.shop.example", "db-read.shop.example"))
    assert list(www["target"]) == ["d111111abcdef8.cloudfront.net"] and list(reads["weight"]) == [100.0, 0.0]
    elsewhere = route53.records(environment, name="www.other.example")
    assert not len(elsewhere) and elsewhere.attrs["zone"] == ""


def test_certificates_of_every_key_type(environment: config.Environment) -> None:
    row = certificates.certificates(environment).iloc[0]
    assert (row["region"], row["domain"], row["status"], row["in_use"]) == (
        "us-east-1",
        "www.shop.example",
        "ISSUED",
        True,
    )
    assert row["days_left"] == pytest.approx(195.0) and row["arn"] == PRODUCT


def test_a_denied_call_is_an_error_for_people(environment: config.Environment, sandbox: Sandbox) -> None:
    sandbox.fault(service="cloudfront", kind="access-denied")
    try:
        with pytest.raises(SourceError, match="ListInvalidations was denied"):
            cloudfront.invalidations(environment)
    finally:
        sandbox.clear_faults()
