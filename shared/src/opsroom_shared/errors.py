"""The one error tree of the servers; its messages are written for the model and the person who read them.

ToolFailure              a tool could not do what was asked
├── InvalidInput         change the arguments
├── NotFound             the thing named does not exist; the message names what does
├── NotPermitted         configuration, role or policy forbids it
├── Conflict             the state has moved on since it was read
├── TooLarge             ask for less
├── TimedOut             narrow it, or try again later
└── Unavailable          the backend did not answer; later, or another backend, may
    └── RateLimited      the backend asks to wait

Anything else that escapes a tool is a defect: it is masked, logged with an id, and answered as `unavailable`.
"""

from typing import ClassVar, Literal

from fastmcp.exceptions import ToolError

Code = Literal["invalid_input", "not_found", "not_permitted", "conflict", "unavailable", "rate_limited", "timeout", "too_large"]


class ToolFailure(ToolError):
    """A failure whose message reaches the caller: what was wrong, and what to try.

    It derives from fastmcp's ToolError because only that class passes fastmcp's masking.
    """

    code: ClassVar[Code] = "unavailable"
    retryable: ClassVar[bool] = False


class InvalidInput(ToolFailure):
    code = "invalid_input"


class NotFound(ToolFailure):
    code = "not_found"


class NotPermitted(ToolFailure):
    code = "not_permitted"


class Conflict(ToolFailure):
    code = "conflict"


class TooLarge(ToolFailure):
    code = "too_large"


class TimedOut(ToolFailure):
    code = "timeout"
    retryable = True


class Unavailable(ToolFailure):
    code = "unavailable"
    retryable = True


class RateLimited(Unavailable):
    code = "rate_limited"
