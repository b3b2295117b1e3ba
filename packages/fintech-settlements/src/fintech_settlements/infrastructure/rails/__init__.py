"""Payout rails that come with settlements. Others arrive through the hook ``fintech_payout_rails``."""
