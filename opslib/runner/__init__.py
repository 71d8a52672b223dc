"""Headless runs and interactive copies: every run leaves a record."""

import sys

# jsonschema builds 2 s worth of grammars when it can import this; nothing here uses that check
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
