"""What people would write instead of us: one transaction on a relational database, no more than asked."""
