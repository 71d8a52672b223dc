"""Two ways to say no: before a query runs, and when the data leave open what AWS would answer."""

MARK = "stand-in: "  # so that nobody takes our refusals for an error of AWS


class Malformed(Exception):
    """The text is no query, or uses what this stand-in does not model; start and end are offsets into it."""

    def __init__(self, message: str, start: int = 0, end: int = 0) -> None:
        self.message, self.start, self.end = MARK + message, start, end
        super().__init__(self.message)


class Failed(Exception):
    """The data decide, and what AWS would answer is not documented."""

    def __init__(self, message: str) -> None:
        super().__init__(MARK + message)
