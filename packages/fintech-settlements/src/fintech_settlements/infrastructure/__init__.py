"""The tables and the SQL of settlements, and the payout rails that come with it."""
