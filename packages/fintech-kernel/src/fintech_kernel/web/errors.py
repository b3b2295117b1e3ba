"""What is wrong with a request before any of its words are read: its form, or that it is one too many.

::

    RequestRefused
    └── FormRefused
        ├── MalformedHttp          400
        ├── MalformedJson          400
        ├── BodyNotExpected        422
        ├── CardNumberRefused      422
        ├── UnsupportedMediaType   415
        ├── BodyTooLarge           413
        ├── UrlTooLong             414
        ├── HeadersTooLarge        431
        ├── BodyTooSlow            408
        └── DeadlineExceeded       503

    TryAgainLater
    ├── RateLimited                429
    └── Overloaded                 503
"""

from typing import ClassVar

from fintech_kernel.errors import RequestRefused, TryAgainLater


class FormRefused(RequestRefused):
    """Root of the errors of a request's form."""

    status: ClassVar[int] = 400

    def __init__(self) -> None:
        super().__init__(self.code)


class MalformedHttp(FormRefused):
    """The bytes are no HTTP request. No application sees them: the server asks for this answer."""

    code = "malformed_http"
    title = "This is not a well-formed HTTP/1.1 request."
    remedy = "Use an HTTP client; a proxy in between may have cut the request."
    status = 400


class MalformedJson(FormRefused):
    """The body is not JSON that every reader reads alike.

    Attributes:
        rule: the rule that it breaks, fixed text.
    """

    code = "malformed_json"
    title = "The body is not well-formed JSON."
    remedy = "Read errors for the rule, and send JSON as RFC 7493 has it: no repeated keys, no NaN."
    status = 400

    def __init__(self, rule: str) -> None:
        super().__init__()
        self.rule = rule


class BodyNotExpected(FormRefused):
    """A body was sent to an operation that takes none."""

    code = "body_not_expected"
    title = "This operation takes no body."
    remedy = "Send no body, or an empty object."
    status = 422


class CardNumberRefused(FormRefused):
    """A string looks like a card number. It is neither stored nor logged, nor said where it stood."""

    code = "card_number_refused"
    title = (
        "The request holds something that looks like a card number. Send a token of the processor."
    )
    remedy = "Send the token that the processor gave for the card, and keep the number out of every field."
    status = 422


class UnsupportedMediaType(FormRefused):
    """The body is not ``application/json``, or it is compressed."""

    code = "unsupported_media_type"
    title = "Send the body as application/json in UTF-8, not compressed."
    remedy = "Set Content-Type: application/json and do not compress the body."
    status = 415


class BodyTooLarge(FormRefused):
    """The body is longer than the limit."""

    code = "body_too_large"
    title = "The body is too large."
    remedy = "Send less; docs/rate-limits.md has the limits."
    status = 413


class UrlTooLong(FormRefused):
    """Path and query are longer than the limit."""

    code = "url_too_long"
    title = "The URL is too long."
    remedy = "Send fewer or shorter query parameters."
    status = 414


class HeadersTooLarge(FormRefused):
    """The headers are longer or more than the limits."""

    code = "headers_too_large"
    title = "The headers are too large."
    remedy = "Send fewer and smaller headers; cookies are not needed."
    status = 431


class BodyTooSlow(FormRefused):
    """The body did not arrive before the deadline."""

    code = "body_too_slow"
    title = "The body did not arrive in time."
    remedy = "Send the body at once and repeat the request with the same Idempotency-Key."
    status = 408


class DeadlineExceeded(FormRefused):
    """The answer was not ready before the deadline. What was recorded is finished regardless."""

    code = "deadline_exceeded"
    title = "The answer was not ready in time. Repeat the request with the same Idempotency-Key."
    remedy = "Repeat the request with the same Idempotency-Key: nothing happens twice."
    status = 503


class RateLimited(TryAgainLater):
    """The principal or the address used up its quota."""

    code = "rate_limited"
    title = "Too many requests. Come back after the time that Retry-After says."
    remedy = "Wait as long as Retry-After says. The header RateLimit tells what is left: spread requests."
    status: ClassVar[int] = 429


class Overloaded(TryAgainLater):
    """The process, or the merchant, has as many requests under way as it may have. Nothing was done."""

    code = "overloaded"
    title = "Too many requests are under way. Nothing was done; repeat the request."
    remedy = "Wait as long as Retry-After says, with some jitter, and repeat the request."
    status: ClassVar[int] = 503
