"""The wire: which operation a request means, what it asks, and the bytes of the answer, for every AWS protocol.

moto's codecs do the encoding from botocore's models; they are not a public interface of moto, hence its pinned version.
"""

import gzip
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any
from urllib.parse import parse_qsl

import orjson
from botocore.utils import parse_timestamp
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

from opslib.sandbox.routes import RouteTable
from opslib.sandbox.service_errors import ServiceError
from opslib.sandbox.signing import scope_of, services_of

# Throttling, SandboxNotModelled and the like are in no model; moto says so on every one.
warnings.filterwarnings("ignore", message=r"Exception\(.*\) with code .* does not match an error shape")


@dataclass(frozen=True)
class Request:
    """One HTTP request, whole."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @cached_property
    def content(self) -> bytes:
        """Return the body as it was before the client compressed it (boto3 does so with large metric batches)."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


@dataclass(frozen=True)
class Call:
    """One AWS call: what a request means."""

    service: str
    operation: str
    protocol: str
    region: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return it as `service:Operation`."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True)
class Response:
    """One HTTP answer, whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@cache
def model_of(service: str) -> ServiceModel:
    """Return a service's model, read on first use."""
    return get_service_model(service)


@cache
def routes_of(service: str) -> RouteTable:
    """Return the routes of a REST service, made on first use."""
    return RouteTable(model_of(service))


def identify(request: Request) -> Call | None:
    """Return the AWS call that a signed request makes, or None when it is unsigned or of an unknown service."""
    scope = scope_of(request.headers.get("authorization", ""), request.query)
    if scope is None:
        return None
    region, signing_name = scope
    candidates = services_of(signing_name)
    for service in candidates:
        found = _by_name(service, request)
        if found:
            return Call(service, found[1], found[0], region)
    return _by_route(candidates, request, region)


def _by_name(service: str, request: Request) -> tuple[str, str] | None:
    """Return (protocol, operation) where the request names its operation."""
    model = model_of(service)
    spoken = _protocols(service)
    if "x-amz-target" in request.headers:
        prefix, _, name = request.headers["x-amz-target"].rpartition(".")
        known = "json" in spoken and prefix == model.metadata.get("targetPrefix") and name in model.operation_names
        return ("json", name) if known else None
    if request.headers.get("smithy-protocol"):
        name = request.path.rpartition("/operation/")[2]
        return ("smithy-rpc-v2-cbor", name) if name in model.operation_names else None
    if not spoken & {"query", "ec2"}:
        return None
    form = dict(parse_qsl(_form(request)))
    known = form.get("Action") in model.operation_names and form.get("Version") in (None, model.api_version)
    return ("ec2" if "ec2" in spoken else "query", form["Action"]) if known else None


def _by_route(candidates: Iterable[str], request: Request, region: str) -> Call | None:
    """Return the REST call; where several services sign alike (S3 and its control plane), the closer path counts."""
    best: tuple[int, Call] | None = None
    for service in candidates:
        protocol = next(iter(_protocols(service) & {"rest-json", "rest-xml"}), None)
        found = (
            routes_of(service).find(request.method, request.path, request.query, request.headers) if protocol else None
        )
        if found and (best is None or found[0].literals > best[0]):
            best = found[0].literals, Call(service, found[0].operation, protocol, region, found[1])
    return best[1] if best else None


def _protocols(service: str) -> set[str]:
    metadata = model_of(service).metadata
    return set(metadata.get("protocols") or [metadata["protocol"]])


def _form(request: Request) -> str:
    return request.content.decode("utf-8", "replace") if request.method == "POST" else request.query


def parse(call: Call, request: Request, *, plain: bool = False) -> dict[str, Any]:
    """Return the parameters of a call; timestamps are aware.

    `plain` says that the JSON body is already what the operation wants: no blobs, timestamps as epoch seconds.
    """
    if plain and call.protocol == "json":
        return orjson.loads(request.content or b"{}")
    form = _form(request) if call.protocol in ("query", "ec2") else request.query
    parser = PROTOCOL_PARSERS[call.protocol](_operation_model(call), timestamp_parser=_aware)
    return parser.parse(
        {
            "method": request.method,
            "values": MultiDict(parse_qsl(form, keep_blank_values=True)),
            "headers": Headers(dict(request.headers)),
            "body": request.content,
            "url_path": request.path,
            "url_params": dict(call.labels),
        }
    )


def serialise(call: Call, result: Any, request_id: str, *, plain: bool = False) -> Response:
    """Return the answer to a call: its result, or its error when `result` is an exception."""
    ours = [("x-amzn-requestid", request_id)]
    if plain and call.protocol == "json" and not isinstance(result, Exception):
        version = model_of(call.service).metadata.get("jsonVersion", "1.0")
        content = [("content-type", f"application/x-amz-json-{version}")]
        return Response(200, content + ours, orjson.dumps(result or {}, option=orjson.OPT_SERIALIZE_NUMPY))
    # Errors in CBOR are read by nobody here: our clients speak JSON to the services that offer both.
    protocol = "json" if call.protocol == "smithy-rpc-v2-cbor" else call.protocol
    serializer = get_serializer_class(call.service, protocol)
    answer = serializer(_operation_model(call), context=SerializationContext(request_id)).serialize(result)
    status = result.status if isinstance(result, ServiceError) and result.status else answer["status_code"]
    body = answer["body"].encode() if isinstance(answer["body"], str) else answer["body"]
    headers = [(name.lower(), str(value)) for name, value in answer["headers"].items()]
    return Response(status, headers + ours, body)


def _operation_model(call: Call) -> OperationModel:
    return model_of(call.service).operation_model(call.operation)


def _aware(value: Any) -> datetime:
    moment = parse_timestamp(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
