"""Workloads of this project's own plugins, each used where its plugin is installed.

They name the modules of their plugin and load them when they run, so that the kernel needs none of them
installed; a type checker sees the imports, the running kernel does not.
"""
