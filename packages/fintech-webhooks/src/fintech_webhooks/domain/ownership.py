"""Whose endpoints a principal may ask about: its own merchant's, or, for staff, any that there is."""

from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import NotFound


async def check_merchant(
    merchants: MerchantDirectory | None, merchant_id: str, actor: Actor
) -> None:
    """Let through who may ask about a merchant; without a directory every merchant is taken to exist.

    Raises:
        NotFound: it is somebody else's, or there is none.
    """
    if not actor.may_see(merchant_id):
        raise NotFound
    if merchants is not None and await merchants.profile(merchant_id) is None:
        raise NotFound
