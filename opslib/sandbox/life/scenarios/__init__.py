"""Incidents as overlays on the base life: one module each, with TITLE and unfold(incident)."""

SCENARIOS = {
    "quiet-day": "An ordinary Thursday morning: nothing is the matter.",
    "checkout-locks": "A deploy of api makes transactions hold row locks on stock and orders; checkout fails.",
}
DEFAULT_SCENARIO = "checkout-locks"
