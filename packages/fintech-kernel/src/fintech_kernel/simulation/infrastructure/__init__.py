"""The model database and the SQL with which verdicts read it."""
