"""A command that the rules refuse."""

from datetime import datetime


class Refused(Exception):
    """Why a command changes nothing.

    Attributes:
        code: a code of `utd_protocol.errors`.
        detail: a sentence for the person who reads the log.
        rule: the rule of the product that refused, such as `R13`.
        hint: what would make it succeed.
        context: facts a program may act on.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        rule: str | None = None,
        hint: str | None = None,
        **context: str | float | datetime | None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.rule = rule
        self.hint = hint
        self.context = context
