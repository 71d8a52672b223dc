"""A strange account: what is in it (`opslib init`), and what of the runbooks will work there (`opslib doctor`)."""
