"""Opinions: each check reads sources and returns a Result, named as operators say it."""
