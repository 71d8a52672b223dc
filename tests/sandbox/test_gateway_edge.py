"""Distribution, DNS, health check and certificate through real boto3 clients."""

from copy import deepcopy
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.sandbox.dns import changed
from tests.sandbox.gateway_process import Gateway, running

ID, ZONE, CHECK = "E2SHOPEXAMPLE1", "Z0SHOPEXAMPLE1", "7a1c6c1e-5b1f-4f0e-9a54-shopexample1"


def batch(reference: str, *paths: str) -> dict[str, Any]:
    return {
        "DistributionId": ID,
        "InvalidationBatch": {"CallerReference": reference, "Paths": {"Quantity": len(paths), "Items": list(paths)}},
    }


def test_the_distribution_and_its_configuration(gateway: Gateway) -> None:
    cloudfront = gateway.client("cloudfront")
    listed = cloudfront.list_distributions()["DistributionList"]["Items"]
    told = cloudfront.get_distribution(Id=ID)
    config = cloudfront.get_distribution_config(Id=ID)
    assert [each["Id"] for each in listed] == [ID] and told["Distribution"]["Status"] == "Deployed"
    assert config["ETag"] == told["ETag"] and config["DistributionConfig"] == told["Distribution"]["DistributionConfig"]
    assert listed[0]["LastModifiedTime"].isoformat() == "2026-10-26T23:40:00+00:00"
    with pytest.raises(cloudfront.exceptions.NoSuchDistribution):
        cloudfront.get_distribution(Id="EOTHER")


def test_a_distribution_is_changed_against_its_etag() -> None:
    with running() as gateway:
        cloudfront = gateway.client("cloudfront")
        before = cloudfront.get_distribution_config(Id=ID)
        config = deepcopy(before["DistributionConfig"]) | {"Comment": "changed"}
        after = cloudfront.update_distribution(Id=ID, IfMatch=before["ETag"], DistributionConfig=config)
        assert after["Distribution"]["Status"] == "InProgress" and after["ETag"] != before["ETag"]
        with pytest.raises(cloudfront.exceptions.PreconditionFailed):
            cloudfront.update_distribution(Id=ID, IfMatch=before["ETag"], DistributionConfig=config)
        gateway.admin("POST", "advance", {"seconds": 301})
        told = cloudfront.get_distribution(Id=ID)["Distribution"]
        assert (told["Status"], told["DistributionConfig"]["Comment"]) == ("Deployed", "changed")


def test_an_invalidation_takes_a_minute(gateway: Gateway) -> None:
    cloudfront = gateway.client("cloudfront")
    made = cloudfront.create_invalidation(**batch("minute", "/index.html", "/images/*"))["Invalidation"]
    open_now = cloudfront.get_distribution(Id=ID)["Distribution"]["InProgressInvalidationBatches"]
    gateway.admin("POST", "advance", {"seconds": 61})
    told = cloudfront.get_invalidation(DistributionId=ID, Id=made["Id"])["Invalidation"]
    assert (made["Status"], told["Status"], open_now >= 1) == ("InProgress", "Completed", True)
    assert told["InvalidationBatch"]["Paths"]["Items"] == ["/index.html", "/images/*"]


def test_an_invalidation_is_made_once(gateway: Gateway) -> None:
    cloudfront = gateway.client("cloudfront")
    first, second = (cloudfront.create_invalidation(**batch("once", "/a"))["Invalidation"]["Id"] for _ in range(2))
    assert first == second
    with pytest.raises(ClientError, match="InvalidationBatchAlreadyExists"):
        cloudfront.create_invalidation(**batch("once", "/b"))


def test_too_many_paths(gateway: Gateway) -> None:
    cloudfront = gateway.client("cloudfront")
    with pytest.raises(cloudfront.exceptions.TooManyInvalidationsInProgress):
        cloudfront.create_invalidation(**batch("wild", *(f"/{n}/*" for n in range(16))))
    with pytest.raises(cloudfront.exceptions.InvalidArgument, match="invalid invalidation paths: a"):
        cloudfront.create_invalidation(**batch("wrong", "a"))


def test_invalidations_are_listed_in_pages(gateway: Gateway) -> None:
    cloudfront = gateway.client("cloudfront")
    made = [cloudfront.create_invalidation(**batch(f"page-{n}", f"/{n}"))["Invalidation"]["Id"] for n in range(3)]
    pages = cloudfront.get_paginator("list_invalidations").paginate(DistributionId=ID, PaginationConfig={"PageSize": 2})
    listed = [each["Id"] for page in pages for each in page["InvalidationList"].get("Items", [])]
    assert listed[:3] == made[::-1] and len(listed) == len(set(listed))


def test_health_is_seen_by_every_checker(gateway: Gateway) -> None:
    route53 = gateway.client("route53")
    check = route53.list_health_checks()["HealthChecks"][0]
    assert route53.get_health_check(HealthCheckId=CHECK)["HealthCheck"] == check
    seen = route53.get_health_check_status(HealthCheckId=CHECK)["HealthCheckObservations"]
    assert len(seen) == 16 and len({each["Region"] for each in seen}) == 8
    assert {each["StatusReport"]["Status"] for each in seen} == {"Success: HTTP Status Code 200, OK"}
    with pytest.raises(route53.exceptions.NoSuchHealthCheck):
        route53.get_health_check(HealthCheckId="7a1c6c1e-0000-4f0e-9a54-000000000000")


def test_health_follows_the_record() -> None:
    with running() as gateway:
        route53 = gateway.client("route53")
        assert route53.get_health_check_last_failure_reason(HealthCheckId=CHECK)["HealthCheckObservations"] == []
        target = {
            "HostedZoneId": "Z14GRHDCWA56QT",
            "DNSName": "old.ap-northeast-1.elb.amazonaws.com.",
            "EvaluateTargetHealth": False,
        }
        record = {"Name": "www.shop.example.", "Type": "A", "AliasTarget": target}
        route53.change_resource_record_sets(
            HostedZoneId=ZONE, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        )
        for name in ("get_health_check_status", "get_health_check_last_failure_reason"):
            seen = getattr(route53, name)(HealthCheckId=CHECK)["HealthCheckObservations"]
            assert len(seen) == 16 and all(
                each["StatusReport"]["Status"].startswith("Failure: Connection timed out") for each in seen
            )


def test_records_in_pages(gateway: Gateway) -> None:
    route53 = gateway.client("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    pages = list(
        route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone, PaginationConfig={"PageSize": 2})
    )
    records = [each for page in pages for each in page["ResourceRecordSets"]]
    assert len(pages) == 2 and [(each["Name"], each.get("SetIdentifier")) for each in records] == [
        ("db-read.shop.example.", "primary"), ("db-read.shop.example.", "replica"), ("origin.shop.example.", None), ("www.shop.example.", None),
    ]  # fmt: skip


def test_a_weight_is_changed(gateway: Gateway) -> None:
    route53 = gateway.client("route53")
    records = route53.list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]
    replica = next(each for each in records if each.get("SetIdentifier") == "replica")
    changes = [{"Action": "UPSERT", "ResourceRecordSet": {**replica, "Weight": 100}}]
    made = route53.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": changes})["ChangeInfo"]
    gateway.admin("POST", "advance", {"seconds": 31})
    assert (made["Status"], route53.get_change(Id=made["Id"])["ChangeInfo"]["Status"]) == ("PENDING", "INSYNC")
    with pytest.raises(ClientError, match="do not match the current values"):
        route53.change_resource_record_sets(
            HostedZoneId=ZONE, ChangeBatch={"Changes": [{"Action": "DELETE", "ResourceRecordSet": replica}]}
        )


def test_a_refused_batch_changes_nothing() -> None:
    record = {"Name": "a.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    with pytest.raises(Exception, match="already exists"):
        changed(
            [record],
            [
                {"Action": "DELETE", "ResourceRecordSet": record},
                *[{"Action": "CREATE", "ResourceRecordSet": record}] * 2,
            ],
        )


def test_a_certificate_and_its_days(gateway: Gateway) -> None:
    acm = gateway.client("acm", region="us-east-1")
    assert acm.list_certificates()["CertificateSummaryList"] == []
    listed = acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    told = acm.describe_certificate(CertificateArn=listed[0]["CertificateArn"])["Certificate"]
    assert (told["Status"], told["NotAfter"]) == ("ISSUED", listed[0]["NotAfter"]) and "E2SHOPEXAMPLE1" in told[
        "InUseBy"
    ][0]
    assert (
        gateway.client("acm").list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
        == []
    )
