"""The picture of a settlement's states, drawn from the table of transitions (Mermaid)."""

from fintech_settlements.domain.model import TRANSITIONS, SettlementStatus


def state_diagram() -> str:
    """Return the picture that the documents show; a test keeps theirs the same."""
    arrows = [
        f"    {state} --> {after}"
        for state, followers in TRANSITIONS.items()
        for after in SettlementStatus
        if after in followers
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {SettlementStatus.OPEN}", *arrows])
