"""Where the unexpected is caught: once, at a stage's boundary, with what is needed to find it."""

import logging
import traceback
from types import TracebackType

from filters.reasons import Drop, Reason
from transforms.coordination.fatal import FatalError

log = logging.getLogger("pairmill")


class ErrorBoundary:
    """`with ErrorBoundary(what) as caught:` ends well whatever happens inside, and says so in `caught.drop`.

    One bad record must not end a run of millions. FatalError passes: a full disk is no fault of the record.
    `what` names the record in the log. How many such drops a run may have is `engine.max_internal_errors`. `passing`:
    other errors whose messages are for a person; they pass out of whatever a library made of them.
    """

    def __init__(self, what: str, passing: tuple[type[Exception], ...] = ()) -> None:
        self.what = what
        self.passing = passing
        self.drop: Drop | None = None

    def __enter__(self) -> "ErrorBoundary":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception) or isinstance(error, (FatalError, *self.passing)):
            return False
        if isinstance(error.__cause__, self.passing):
            raise error.__cause__ from None
        log.error("internal error at %s\n%s", self.what, "".join(traceback.format_exception(error)))
        self.drop = Drop(Reason.INTERNAL_ERROR, None, f"{type(error).__name__}: {error}")
        return True
