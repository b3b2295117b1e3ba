"""One module per command. A command turns options into calls; what it calls lives a level up.

Modules here import little: what a command needs is loaded when it runs, so that ``fintech --help`` and
``fintech version`` do not wait for a web framework.
"""
