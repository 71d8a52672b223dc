"""`python -m tests.benchmarks NAME`: run one benchmark by its name."""

import importlib
import sys
from pathlib import Path

NAMES = sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("__"))

if len(sys.argv) != 2 or sys.argv[1] not in NAMES:
    sys.exit(f"usage: python -m tests.benchmarks NAME, with NAME one of: {', '.join(NAMES)}")
importlib.import_module(f"tests.benchmarks.{sys.argv[1]}").main()
