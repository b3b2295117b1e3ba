"""The deployable server: whatever fintech packages are installed, served as one application.

``cli`` is the command ``fintech``; ``commands`` has one module per command. What deliberately does not
live here: routes, rules, SQL. Those belong to the plugins and the kernel.
"""
