"""Functions of lists and maps, and of addresses."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import orjson

from opslib.sandbox.insights.function import Function
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import brief, written

_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


def json_of(value: Any) -> Any:
    """Return the list or map that a value is or that its text holds; None for all else."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return value if isinstance(value, dict | list) else None


def _stringified(value: Any) -> str:
    if not isinstance(value, dict | list):
        raise Failed(f"jsonStringify of {brief(value)} is not documented: it takes a list or a map")
    return orjson.dumps(value).decode()


def _size(value: Any) -> int | None:
    found = json_of(value)
    return len(found) if isinstance(found, list) else None


def _contains(value: Any, wanted: Any) -> int:
    found = json_of(value)
    if not isinstance(found, list):
        return 0
    if wanted in [item for item in found if isinstance(item, str)]:
        return 1
    if any(not isinstance(item, str | dict | list) and str(item).lower() == written(wanted).lower() for item in found):
        raise Failed(f"whether {brief(wanted)} equals an item that is no text is not documented")
    return 0


def _address(text: Any) -> IPv4Address | IPv6Address:
    try:
        return ip_address(written(text))
    except ValueError:
        raise Failed(f"{brief(text)} is no address: what follows is not documented; test it with isValidIp()") from None


def _network(text: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(written(text))
    except ValueError:
        raise Failed(f"{brief(text)} is no range of addresses") from None


def _valid(*versions: int) -> Any:
    def test(text: Any) -> int:
        try:
            return int(ip_address(written(text)).version in versions)
        except ValueError:
            return 0

    return test


def _in_subnet(*versions: int) -> Any:
    def test(text: Any, subnet: Any) -> int:
        address, network = _address(text), _network(subnet)
        if address.version not in versions or network.version not in versions:
            raise Failed(f"{brief(text)} or {brief(subnet)} is of the other version of IP")
        return int(address.version == network.version and address in network)

    return test


def _number(text: Any) -> int:
    address = _address(text)
    if address.version != 4:
        raise Failed(f"{brief(text)} is no IPv4 address")
    return int(address)


def _is_private(text: Any) -> int:
    address = _address(text)
    if address.version != 4:
        raise Failed("isPrivateIP of IPv6 is not documented")
    return int(any(address in network for network in _PRIVATE))


def _plain_kind(text: Any) -> str:
    """Private, public or reserved where all agree."""
    address = _address(text)
    if address.version == 4 and _is_private(text):
        return "private"
    if address.is_reserved and address.version == 4:
        return "reserved"
    if address.is_global and not address.is_multicast:
        return "public"
    raise Failed(f"whether {brief(text)} counts as public or reserved is not documented")


FUNCTIONS: dict[str, Function] = {
    "jsonparse": Function(1, 1, json_of, whole=True),
    "jsonstringify": Function(1, 1, _stringified, whole=True),
    "jsonarraysize": Function(1, 1, _size, whole=True),
    "jsonarraycontains": Function(2, 2, _contains, predicate=True, whole=True),
    "isvalidip": Function(1, 1, _valid(4, 6), predicate=True),
    "isvalidipv4": Function(1, 1, _valid(4), predicate=True),
    "isvalidipv6": Function(1, 1, _valid(6), predicate=True),
    "isipinsubnet": Function(2, 2, _in_subnet(4, 6), predicate=True),
    "isipv4insubnet": Function(2, 2, _in_subnet(4), predicate=True),
    "isipv6insubnet": Function(2, 2, _in_subnet(6), predicate=True),
    "ipv4tonumber": Function(1, 1, _number),
    "isprivateip": Function(1, 1, _is_private, predicate=True),
    "ispublicip": Function(1, 1, lambda text: int(_plain_kind(text) == "public"), predicate=True),
    "isreservedip": Function(1, 1, lambda text: int(_plain_kind(text) == "reserved"), predicate=True),
}
