"""Names of ledger accounts: the words that payments, settlements and the ledger share.

``type:owner[:id]:CUR``: every account holds one currency. Merchant ids, settlement ids and processor
names never contain ``:`` (``identifiers.MERCHANT_ID``, ``OBJECT_ID``), so no name can forge another.
What an account's type means is the ledger's business.
"""


def processor_account(name: str, currency: str) -> str:
    """Return the account of what a processor owes us."""
    return f"assets:processor:{name}:{currency}"


def merchant_account(merchant_id: str, currency: str) -> str:
    """Return the account of what we owe a merchant."""
    return f"liabilities:merchant:{merchant_id}:{currency}"


def settlement_account(settlement_id: str, currency: str) -> str:
    """Return the account of what a settlement has taken from a merchant and not yet paid out."""
    return f"liabilities:settlement:{settlement_id}:{currency}"


def disputes_account(merchant_id: str, currency: str) -> str:
    """Return the account of what is held back of a merchant while payments are disputed."""
    return f"liabilities:disputes:{merchant_id}:{currency}"


def bank_account(currency: str) -> str:
    """Return the account of our money at the bank."""
    return f"assets:bank:{currency}"


def fees_account(currency: str) -> str:
    """Return the account of the fees that we earned."""
    return f"income:fees:{currency}"


def reconciliation_account(currency: str) -> str:
    """Return the account of what the bank and our books do not agree about yet."""
    return f"suspense:reconciliation:{currency}"
