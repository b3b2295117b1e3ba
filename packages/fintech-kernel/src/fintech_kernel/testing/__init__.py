"""What tests of plugins are built from: the real database service, a running app, a frozen clock.

Installed with ``fintech-kernel[testing]``, as a pytest plugin (fixtures in ``plugin``). Nothing here is
imported by a running server, and nothing is mocked that can be run.
"""
