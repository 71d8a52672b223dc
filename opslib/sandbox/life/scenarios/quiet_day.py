"""An ordinary Thursday morning: nothing is laid over the base life but, with a seed ("quiet-day:7"), other noise."""

import numpy as np

from opslib.sandbox.life.incident import Incident

TITLE = "An ordinary Thursday morning: nothing is the matter."
SINCE = "2026-11-04T23:45:00Z"


def unfold(incident: Incident) -> None:
    """Change nothing; with a seed, let other requests be the slow and the failing ones in the last three hours."""
    if not incident.out.noise_seed:
        return
    rng = np.random.default_rng(incident.out.noise_seed)
    for route in incident.shop.routes.values():
        requests = incident.requests(route.key, SINCE)
        good = [request for request in requests if not request.failure and not request.extra and not request.job]
        for request, other in zip(good, rng.permutation(len(good)), strict=True):
            incident.slow(request, good[other].total)
        for request in requests:
            if request.failure:
                incident.lose(request)
        for failure in incident.shop.failures_of(route.key):
            for place in rng.choice(len(good), min(rng.poisson(failure.p * len(requests)), len(good)), replace=False):
                total = failure.median_ms * (1 + 0.1 * rng.random()) if failure.median_ms else good[place].total
                incident.fail(good[place], failure.kind, int(total))
