"""CloudFront: the distribution in front of the shop, and its invalidations."""

from typing import Any

from opslib.sandbox.edge import DISTRIBUTION, DOMAIN, Edge, Invalidation
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError
from opslib.sandbox.state_files import ACCOUNT

API, LIMITS = "API reference", "developer guide, “Invalidate files”"
PATHS, WILDCARDS = 3000, 15


class CloudFrontApi:
    """The one distribution; CloudFront is signed for us-east-1 wherever it is asked from."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    def _edge(self, name: str) -> Edge:
        if name != DISTRIBUTION:
            raise ServiceError("NoSuchDistribution", "The specified distribution does not exist.", status=404)
        return self._state.part(Edge)

    def _summary(self) -> dict[str, Any]:
        edge = self._state.part(Edge)
        return {
            "Id": DISTRIBUTION, "ARN": f"arn:aws:cloudfront::{ACCOUNT}:distribution/{DISTRIBUTION}", "DomainName": DOMAIN,
            "Status": "Deployed" if edge.deployed else "InProgress", "LastModifiedTime": edge.modified,
        }  # fmt: skip

    @operation("cloudfront", "ListDistributions", modelled="the one distribution", source=API, difference="no pages",
               tested=("test_the_distribution_and_its_configuration",))  # fmt: skip
    def list_distributions(self, p: Params) -> dict[str, Any]:
        """Answer the distributions."""
        config = self._state.part(Edge).config
        named = (
            "Aliases",
            "Origins",
            "DefaultCacheBehavior",
            "CacheBehaviors",
            "Comment",
            "PriceClass",
            "Enabled",
            "ViewerCertificate",
            "HttpVersion",
        )
        rest = {
            "CustomErrorResponses": {"Quantity": 0},
            "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
        }
        item = {
            **self._summary(),
            **{name: config[name] for name in named},
            **rest,
            "WebACLId": "",
            "IsIPV6Enabled": True,
            "Staging": False,
        }
        return {
            "DistributionList": {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 1, "Items": [item]}
        }

    @operation(
        "cloudfront",
        "GetDistribution",
        modelled="state, time of the last change, ETag",
        source=API,
        tested=("test_the_distribution_and_its_configuration",),
    )
    def get_distribution(self, p: Params) -> dict[str, Any]:
        """Answer one distribution."""
        edge = self._edge(p["Id"])
        shown = {
            **self._summary(),
            "InProgressInvalidationBatches": len(edge.open_invalidations()),
            "DistributionConfig": edge.config,
        }
        return {"Distribution": shown, "ETag": edge.etag}

    @operation("cloudfront", "GetDistributionConfig", modelled="the configuration and its ETag", source=API,
               tested=("test_the_distribution_and_its_configuration",))  # fmt: skip
    def get_distribution_config(self, p: Params) -> dict[str, Any]:
        """Answer its configuration."""
        edge = self._edge(p["Id"])
        return {"DistributionConfig": edge.config, "ETag": edge.etag}

    @operation("cloudfront", "UpdateDistribution", modelled="the whole configuration against its ETag; five minutes until deployed", source=API,
               difference="the configuration is not validated; CallerReference may not change", tested=("test_a_distribution_is_changed_against_its_etag",))  # fmt: skip
    def update_distribution(self, p: Params) -> dict[str, Any]:
        """Change the distribution."""
        edge = self._edge(p["Id"])
        if p.get("IfMatch") != edge.etag:
            missing = "InvalidIfMatchVersion" if not p.get("IfMatch") else "PreconditionFailed"
            raise ServiceError(
                missing,
                "The If-Match version is missing or not valid for the resource.",
                status=412 if p.get("IfMatch") else 400,
            )
        if p["DistributionConfig"]["CallerReference"] != edge.config["CallerReference"]:
            raise ServiceError("IllegalUpdate", "The update contains modifications that are not allowed.", status=400)
        edge.change(p["DistributionConfig"], self._state.clock.now())
        return self.get_distribution(p)

    @operation("cloudfront", "CreateInvalidation", modelled="InProgress for a minute; the same CallerReference and paths answer the first one; 3,000 paths and 15 wildcards in progress",
               source=LIMITS, tested=("test_an_invalidation_takes_a_minute", "test_an_invalidation_is_made_once", "test_too_many_paths"))  # fmt: skip
    def create_invalidation(self, p: Params) -> dict[str, Any]:
        """Begin an invalidation."""
        edge, batch = self._edge(p["DistributionId"]), p["InvalidationBatch"]
        paths, reference = list(batch["Paths"].get("Items") or []), batch["CallerReference"]
        if len(paths) != batch["Paths"]["Quantity"] or not paths:
            raise ServiceError(
                "InconsistentQuantities", "The value of Quantity and the size of Items don't match.", status=400
            )
        if wrong := [path for path in paths if not path.startswith("/")]:
            raise ServiceError(
                "InvalidArgument",
                f"Your request contains one or more invalid invalidation paths: {wrong[0]}",
                status=400,
            )
        with self._state.lock:
            for known in edge.invalidations:
                if known.reference == reference:
                    if known.paths == paths:
                        return self._answer(edge, known)
                    raise ServiceError(
                        "InvalidationBatchAlreadyExists", "The caller reference is in use with other paths.", status=409
                    )
            _check_limits([*paths, *(path for each in edge.open_invalidations() for path in each.paths)])
            return self._answer(edge, edge.invalidate(paths, reference))

    def _answer(self, edge: Edge, made: Invalidation) -> dict[str, Any]:
        location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{DISTRIBUTION}/invalidation/{made.id}"
        return {"Location": location, "Invalidation": _shown(edge, made)}

    @operation(
        "cloudfront",
        "GetInvalidation",
        modelled="state and paths",
        source=API,
        tested=("test_an_invalidation_takes_a_minute",),
    )
    def get_invalidation(self, p: Params) -> dict[str, Any]:
        """Answer one invalidation."""
        edge = self._edge(p["DistributionId"])
        for known in edge.invalidations:
            if known.id == p["Id"]:
                return {"Invalidation": _shown(edge, known)}
        raise ServiceError("NoSuchInvalidation", "The specified invalidation does not exist.", status=404)

    @operation(
        "cloudfront",
        "ListInvalidations",
        modelled="newest first, in pages",
        source=API,
        tested=("test_invalidations_are_listed_in_pages",),
    )
    def list_invalidations(self, p: Params) -> dict[str, Any]:
        """Answer the invalidations."""
        edge, many = self._edge(p["DistributionId"]), int(p.get("MaxItems") or 100)
        newest = list(reversed(edge.invalidations))
        names = [each.id for each in newest]
        first = names.index(p["Marker"]) + 1 if p.get("Marker") in names else 0
        shown = newest[first : first + many]
        items = [{"Id": each.id, "CreateTime": each.created, "Status": edge.status(each)} for each in shown]
        answer = {
            "Marker": p.get("Marker") or "",
            "MaxItems": many,
            "IsTruncated": first + many < len(newest),
            "Quantity": len(items),
            "Items": items,
        }
        return {"InvalidationList": answer | ({"NextMarker": shown[-1].id} if answer["IsTruncated"] else {})}


def _shown(edge: Edge, made: Invalidation) -> dict[str, Any]:
    batch = {"Paths": {"Quantity": len(made.paths), "Items": made.paths}, "CallerReference": made.reference}
    return {"Id": made.id, "Status": edge.status(made), "CreateTime": made.created, "InvalidationBatch": batch}


def _check_limits(paths: list[str]) -> None:
    wild = [path for path in paths if path.endswith("*")]
    if len(paths) - len(wild) > PATHS or len(wild) > WILDCARDS:
        raise ServiceError(
            "TooManyInvalidationsInProgress",
            "Processing your request will cause you to exceed the maximum number of in-progress invalidations.",
            status=400,
        )


APIS = (CloudFrontApi,)
