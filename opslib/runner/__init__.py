"""Headless runs and interactive copies: every run leaves a record."""
