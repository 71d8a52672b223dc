"""Fixtures of the sandbox's own tests."""

from tests.sandbox.gateway_process import gateway, shared_gateway

__all__ = ["gateway", "shared_gateway"]
