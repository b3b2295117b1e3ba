"""What points are, how they are earned, and how they are redeemed."""
