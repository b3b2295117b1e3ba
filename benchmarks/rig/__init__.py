"""What ``benchmarks/payments.py`` measures with: servers, load, counters, books, report."""
