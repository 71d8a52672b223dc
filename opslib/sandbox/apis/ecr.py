"""The image registry: every image that was ever deployed or registered, with its digest."""

import json
from typing import Any

from opslib.sandbox.apis.ecs_fleet import Fleet
from opslib.sandbox.apis.ecs_state import digest_of
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
ACCOUNT = "000000000000"
HOST = f"{ACCOUNT}.dkr.ecr.ap-northeast-1.amazonaws.com"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LATER = "2026.11.05-rc1"  # built and pushed this morning, deployed nowhere


class Registry:
    """What is asked of it."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation("ecr", "DescribeRepositories", modelled="a repository for each service", source=API, difference="no pages",
               tested=("test_images_have_digests",))  # fmt: skip
    def describe_repositories(self, p: Params) -> dict[str, Any]:
        """Answer the repositories."""
        names = p.get("repositoryNames") or sorted(self._state.part(Fleet).definitions)
        found = [{"repositoryName": name, "registryId": ACCOUNT, "repositoryUri": f"{HOST}/{name}"} for name in names
                 if self._tags(name)]  # fmt: skip
        return {"repositories": found}

    @operation("ecr", "DescribeImages", modelled="by tag and digest, pages of 100; one image a tag, pushed before its deploy",
               source=API, difference="no scans", tested=("test_images_have_digests",))  # fmt: skip
    def describe_images(self, p: Params) -> dict[str, Any]:
        """Answer the images of a repository."""
        name, tags = p["repositoryName"], self._tags(p["repositoryName"])
        wanted = [_tag_of(name, each, tags) for each in p.get("imageIds") or []] or list(tags)
        if None in wanted:
            raise ServiceError(
                "ImageNotFoundException", f"The image requested does not exist within the repository '{name}'"
            )
        details = [{
            "registryId": ACCOUNT, "repositoryName": name, "imageDigest": digest_of(f"{HOST}/{name}:{tag}"),
            "imageTags": [tag], "imageSizeInBytes": 148_000_000 + len(tag), "imagePushedAt": tags[str(tag)] / 1000 - 600,
            "imageManifestMediaType": MANIFEST,
        } for tag in wanted]  # fmt: skip
        shown, following = page("images", details, p.get("nextToken"), p.get("maxResults") or 100)
        return {"imageDetails": shown} | ({"nextToken": following} if following else {})

    @operation("ecr", "BatchGetImage", modelled="by tag and digest; failures", source=API,
               difference="a manifest without layers", tested=("test_images_have_digests",))  # fmt: skip
    def batch_get_image(self, p: Params) -> dict[str, Any]:
        """Answer manifests."""
        name, tags = p["repositoryName"], self._tags(p["repositoryName"])
        images, failures = [], []
        for asked in p["imageIds"]:
            tag = _tag_of(name, asked, tags)
            if tag is None:
                why = {"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
                failures.append({"imageId": asked} | why)
                continue
            identity = {"imageDigest": digest_of(f"{HOST}/{name}:{tag}"), "imageTag": tag}
            manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST})
            images.append(
                {"registryId": ACCOUNT, "repositoryName": name, "imageId": identity, "imageManifest": manifest}
            )
        return {"images": images, "failures": failures}

    def _tags(self, repository: str) -> dict[str, int]:
        """Return the tags of a repository with the time of their first revision."""
        fleet = self._state.part(Fleet)
        tags: dict[str, int] = {}
        for each in fleet.definitions.get(repository, []):
            if each.image.startswith(f"{HOST}/{repository}:"):
                tags.setdefault(each.image.rpartition(":")[2], each.registered)
        if not tags:
            why = f"The repository with name '{repository}' does not exist in the registry with id '{ACCOUNT}'"
            raise ServiceError("RepositoryNotFoundException", why)
        return tags | {LATER: 1_793_840_000_000}


def _tag_of(name: str, asked: dict[str, str], tags: dict[str, int]) -> str | None:
    if "imageTag" in asked:
        return asked["imageTag"] if asked["imageTag"] in tags else None
    return next((tag for tag in tags if digest_of(f"{HOST}/{name}:{tag}") == asked.get("imageDigest")), None)


APIS = (Registry,)
