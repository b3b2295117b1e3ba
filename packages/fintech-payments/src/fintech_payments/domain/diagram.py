"""The picture of a payment's states, drawn from the table of transitions (Mermaid)."""

from fintech_payments.domain.model import TRANSITIONS, PaymentStatus


def state_diagram() -> str:
    """Return the picture that the documents show; a test keeps theirs the same."""
    arrows = [
        f"    {state} --> {after}"
        for state, followers in TRANSITIONS.items()
        for after in PaymentStatus
        if after in followers
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {PaymentStatus.PENDING}", *arrows])
