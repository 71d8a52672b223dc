"""An ordinary Thursday morning: nothing is laid over the base life."""

from opslib.sandbox.life.incident import Incident

TITLE = "An ordinary Thursday morning: nothing is the matter."


def unfold(incident: Incident) -> None:
    """Change nothing."""
