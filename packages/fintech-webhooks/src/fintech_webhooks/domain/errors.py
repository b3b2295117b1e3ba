"""Why something about an endpoint is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── EndpointTransitionRefused    the endpoint's status does not allow it
    ├── EndpointLimitReached         the merchant has as many endpoints as it may
    └── DeliveryUnderWay             a delivery that is still tried is not made again
"""

from fintech_kernel.errors import Refusal


class EndpointTransitionRefused(Refusal):
    """The endpoint's status does not allow this."""

    code = "webhook_endpoint_transition_refused"
    title = "The webhook endpoint's status does not allow this."
    remedy = (
        "Read the endpoint: enable it where it is disabled, and make a new one where it is removed."
    )


class EndpointLimitReached(Refusal):
    """The merchant has as many endpoints as it may."""

    code = "webhook_endpoint_limit_reached"
    title = "The merchant has too many webhook endpoints."
    remedy = "Remove endpoints that nobody uses, or let one endpoint take more events."


class DeliveryUnderWay(Refusal):
    """A delivery that is still tried is not made again."""

    code = "webhook_delivery_under_way"
    title = "The delivery is still being tried."
    remedy = "Wait until the delivery has ended; its next attempt is shown as next_attempt_at."
