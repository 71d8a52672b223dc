"""One cached AWS session and client per environment; the account is checked before the first other call.

Endpoints are never in code: the sandbox is an AWS profile with an endpoint URL.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from opslib import rate_budget
from opslib.config import Environment
from opslib.errors import IdentityError, OpsError, SandboxDown, SourceError

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 8, 4
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEY = {
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId",
    "SignatureDoesNotMatch", "AuthFailure",
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"}
_SSO = {"SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError", "RefreshWithMFAUnsupportedError"}
_NO_ANSWER = {
    "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError",
    "ConnectionClosedError", "ProxyConnectionError", "HTTPClientError",
}  # fmt: skip

_lock = threading.Lock()
_calls: Counter[str] = Counter()


@dataclass(frozen=True)
class Identity:
    """Who AWS says we are, and how far its clock is ahead of this machine's."""

    account: str
    arn: str
    clock_ahead: timedelta
    answered_at: datetime


def calls() -> dict[str, int]:
    """Return how often each `service:Operation` was called in this process (logical calls, not retries)."""
    with _lock:
        return dict(sorted(_calls.items()))


@lru_cache(maxsize=8)
def session(environment: Environment) -> Any:
    """Return the environment's boto3 session, with the call recorder on it.

    Raises IdentityError when the profile does not exist.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        core = _core(environment)
        made = boto3.Session(botocore_session=core, region_name=environment.region)
    except ProfileNotFound:
        fix = f"aws configure sso --profile {environment.profile}, or correct `profile`"
        raise IdentityError(f"AWS profile {environment.profile!r} does not exist on this machine", fix=fix) from None
    made.events.register("before-call", _count)
    return made


def _core(environment: Environment) -> Any:
    """Return a new session of botocore that reads the models of services only if no other of this process has."""
    import botocore.session

    core = botocore.session.Session(profile=environment.profile or None)
    files = {"config_file": environment.aws_config_file, "credentials_file": environment.aws_credentials_file}
    for variable, value in files.items():
        if value:
            core.set_config_variable(variable, value)
    core.register_component("data_loader", models(core.get_config_variable("data_path")))
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return core


def _moment(told: Any) -> Any:
    """Return a time that AWS tells: botocore would ask this machine's zone about each of ten thousand numbers."""
    from botocore.utils import parse_timestamp

    return datetime.fromtimestamp(told, UTC) if isinstance(told, int | float) else parse_timestamp(told)


@lru_cache(maxsize=2)
def models(path: str | None) -> Any:
    """Return what reads the models of services, one for all sessions of this process."""
    from botocore.loaders import create_loader

    return create_loader(path)


def client(environment: Environment, service: str, *, region: str = "") -> Any:
    """Return the cached client of one service, after the account has been checked.

    Raises IdentityError for another account, expired or missing credentials.
    """
    identity(environment)
    return _client(environment, service, region)


def ask(environment: Environment, service: str, operation: str, /, *, region: str = "", **asked: Any) -> dict[str, Any]:
    """Call one operation, named as boto3 names it, and return its answer; what fails is raised as an error for people."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client(environment, service, region=region), operation)(**asked)
        return answer
    except (BotoCoreError, ClientError) as error:
        raise explain(error, environment) from None


def pages(
    environment: Environment, service: str, operation: str, key: str, /, *, region: str = "", **asked: Any
) -> Iterator[Any]:
    """Yield the items under `key` (such as "InvalidationList.Items") of all pages; the next page is asked for when needed.

    Of an operation whose pages boto3 does not know, `key` is a name and the next page is asked for by nextToken or NextToken.
    """
    from botocore.exceptions import BotoCoreError, ClientError, PaginationError

    try:
        asking = client(environment, service, region=region)
        if asking.can_paginate(operation):
            found = asking.get_paginator(operation).paginate(**asked)
            yield from (item for item in found.search(f"{key}[]") if item is not None)
            return
        token: dict[str, str] = {}
        while True:
            told = getattr(asking, operation)(**asked, **token)
            yield from told.get(key) or []
            before, token = token, {name: told[name] for name in ("nextToken", "NextToken") if told.get(name)}
            if not token:
                return
            if token == before:  # as boto3's own paginators
                raise PaginationError(message=f"{operation} told the same next page twice")
    except (BotoCoreError, ClientError) as error:
        raise explain(error, environment) from None


def content(environment: Environment, answer: dict[str, Any]) -> bytes:
    """Return what is in an object that S3 gave; a connection that ends in its middle is raised as an error for people."""
    from botocore.exceptions import BotoCoreError

    try:
        return bytes(answer["Body"].read())
    except BotoCoreError as error:
        raise explain(error, environment) from None


def caller(environment: Environment) -> dict[str, Any]:
    """Ask STS who we are, whatever account that is (sts:GetCallerIdentity); raises IdentityError, SourceError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _client(environment, "sts", "").get_caller_identity()  # type: ignore[no-any-return]
    except (BotoCoreError, ClientError) as error:
        raise explain(error, environment) from None


@lru_cache(maxsize=8)
def identity(environment: Environment) -> Identity:
    """Ask STS once who we are and refuse another account than the configured one (sts:GetCallerIdentity)."""
    answer = caller(environment)
    if answer["Account"] != environment.account:
        why = f"profile {environment.profile or 'default'!r} is {answer['Arn']}"
        fix = f"choose another profile, or correct `account` of [env.{environment.name}]"
        raise IdentityError(
            f"account {answer['Account']} is not {environment.account}, the account of {environment.name!r}",
            why=why,
            fix=fix,
        )
    now = datetime.now(UTC)
    stamp = parsedate_to_datetime(
        answer["ResponseMetadata"]["HTTPHeaders"].get("date", "") or f"{now:%a, %d %b %Y %H:%M:%S} GMT"
    )
    ahead = stamp.astimezone(UTC) - now
    return Identity(answer["Account"], answer["Arn"], ahead if abs(ahead) > timedelta(seconds=2) else timedelta(), stamp.astimezone(UTC))  # fmt: skip


def asked_anew(environment: Environment) -> Identity:
    """Ask STS again, whatever was known: what a change is checked against, its clock too."""
    identity.cache_clear()
    return identity(environment)


def change_clients(environment: Environment, *, name: str, person: str) -> Callable[[str, str], Any]:
    """Return what makes clients for a change: of the change role (sts:AssumeRole) and never retried.

    `name` becomes the role's session name and `person` its source identity, so that CloudTrail tells both. A call
    that got no answer may have been carried out: to send it again would be a second change. Raises SourceError.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    changing = session(environment)
    if environment.change_role:
        asked = {"RoleArn": environment.change_role, "RoleSessionName": _sts_name(name), "SourceIdentity": _sts_name(person)}  # fmt: skip
        try:
            keys = client(environment, "sts").assume_role(**asked, DurationSeconds=3600)["Credentials"]
        except (BotoCoreError, ClientError) as error:
            raise explain(error, environment) from None
        core = _core(environment)
        core.set_credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        changing = boto3.Session(botocore_session=core, region_name=environment.region)
        changing.events.register("before-call", _count)
    once = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
    return lambda service, region: changing.client(service, region_name=region or environment.region, config=once)


def _sts_name(text: str) -> str:
    """STS takes 2 to 64 letters, digits and =,.@_- for names."""
    return re.sub(r"[^A-Za-z0-9=,.@_-]", "-", text)[:64].ljust(2, "-")


def now(environment: Environment) -> datetime:
    """Return the time of the environment's clock: AWS's, which in a frozen sandbox stands still."""
    known = identity(environment)
    return known.answered_at if environment.clock == "frozen" else datetime.now(UTC) + known.clock_ahead


def forget() -> None:
    """Drop cached sessions, clients and identities, so that the next call logs in anew."""
    for cached in (session, identity, _client):
        cached.cache_clear()


@lru_cache(maxsize=64)
def _client(environment: Environment, service: str, region: str) -> Any:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    settings = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, max_pool_connections=32, tcp_keepalive=True)  # fmt: skip
    try:
        with _lock:  # boto3 sessions are not thread-safe while they make clients
            made = session(environment).client(service, region_name=region or environment.region, config=settings)
    except BotoCoreError as error:
        raise explain(error, environment) from None
    rate_budget.attach(made, environment.account)
    return made


def _count(model: Any, **_: Any) -> None:
    with _lock:
        _calls[f"{model.service_model.service_name}:{model.name}"] += 1


def explain(error: Exception, environment: Environment) -> OpsError:
    """Turn an error of boto3 into one for people: who is asked, why not, what to do."""
    kind = type(error).__name__
    response = getattr(error, "response", None) or {}  # ReadTimeoutError carries response=None
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", "")) or str(error)
    operation = getattr(error, "operation_name", "")
    login = f"aws sso login --profile {environment.profile or 'default'}"
    if code in _EXPIRED or kind in _SSO:
        return IdentityError(
            f"the credentials of profile {environment.profile or 'default'!r} have expired", why=message, fix=login
        )
    if kind in {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"} or code in _UNKNOWN_KEY:
        return IdentityError(f"there are no usable credentials for {environment.name!r}", why=message, fix=login)
    if code in _DENIED:
        fix = (
            f"allow the action of {operation} for this role: policies/read.json has the line"
            if operation
            else "ask for the read policy"
        )
        return SourceError(f"{operation or 'the call'} was denied", why=message, fix=fix, sight="denied")
    if kind in _NO_ANSWER:
        return _no_answer(error, environment)
    if "Throttl" in code or code in {"LimitExceededException", "TooManyRequestsException", "RequestLimitExceeded"}:
        return SourceError(
            f"{operation} was throttled {rate_budget.ATTEMPTS} times",
            why=message,
            fix="try again in a minute; others may be asking too",
        )
    return SourceError(f"{operation or 'AWS'} failed: {code or kind}", why=message)


def _no_answer(error: Exception, environment: Environment) -> OpsError:
    if environment.sandbox and type(error).__name__ in {"EndpointConnectionError", "ConnectionClosedError"}:
        return SandboxDown(
            "the sandbox does not answer", why=str(error), fix="opslib sandbox stop, then opslib sandbox start"
        )
    fix = "check network, VPN and region; the rest of the runbook goes on"
    return SourceError(f"no answer from AWS within {READ_SECONDS} s", why=str(error), fix=fix)
