"""What the sandbox says when it cannot do what it was asked."""


class SandboxError(Exception):
    """A message for people: what is the matter, and what to do about it."""

    @property
    def message(self) -> str:
        """Return the text as it is shown."""
        return str(self)
