"""Which botocore services a SigV4 scope may mean: read from the heads of botocore's models, once, when first asked."""

import gzip
import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import botocore

_HEAD_BYTES = 4096  # "metadata" stands first in every model; a whole read of all models takes seconds
_SIGNING_NAME = re.compile(r'"signingName"\s*:\s*"([^"]+)"')
_ENDPOINT_PREFIX = re.compile(r'"endpointPrefix"\s*:\s*"([^"]+)"')
_HEADER_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_QUERY_SCOPE = re.compile(r"X-Amz-Credential=[^&]*?/\d{8}/([^/&]+)/([^/&]+)/aws4_request")


def scope_of(authorization: str, query: str) -> tuple[str, str] | None:
    """Return (region, signing name) of a signed or presigned request, or None when it is neither."""
    found = _HEADER_SCOPE.search(authorization) or _QUERY_SCOPE.search(query.replace("%2F", "/"))
    return (found[1], found[2]) if found else None


def services_of(signing_name: str) -> list[str]:
    """Return the botocore services that sign with this name, the one of the same name first."""
    return _services_by_signing_name().get(signing_name, [])


def known_names() -> frozenset[str]:
    """Return every name that a scope of a real AWS service may bear."""
    found = _services_by_signing_name()
    return frozenset(found) | {service for services in found.values() for service in services}


@lru_cache(maxsize=1)
def _services_by_signing_name() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for folder in sorted((Path(botocore.__file__).parent / "data").iterdir()):
        models = sorted(folder.glob("*/service-2.json.gz"))
        if models:
            found[_signing_name(models[-1]) or folder.name].append(folder.name)
    return {name: sorted(services, key=lambda service: service != name) for name, services in found.items()}


def _signing_name(model: Path) -> str | None:
    with gzip.open(model) as stream:
        head = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
    named = _SIGNING_NAME.search(head) or _ENDPOINT_PREFIX.search(head)
    return named[1] if named else None
