"""What slow things take: `python -m tests.benchmarks NAME` prints a table and, last, one line of JSON."""
