"""Incident records: what happened, when and from where that is known, what was done, and proof that nobody changed it since."""
