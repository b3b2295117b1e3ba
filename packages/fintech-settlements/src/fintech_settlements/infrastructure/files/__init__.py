"""Files that banks take: a bank account is written here, and nowhere else of ours."""
