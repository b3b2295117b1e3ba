"""SQL over HTTP in front of SQLite or PostgreSQL: the reference service of the database contract.

Start reading at ``service`` (an HTTP request becomes statements and back), then ``forms`` (what SQL
may look like) and ``engines`` (who runs it). The command line is in ``cli``. Nothing here knows
payments, and nothing in the application imports this package: the two meet over HTTP.
"""
