"""Hooks that go away: said where they are specified, heard by whoever implements one, removed on time.

``@hookspec(warn_on_impl=HookDeprecated(...))`` is all that a deprecation takes. The policy is in
``docs/hooks.md``: a hook that is deprecated works for at least one more version that may break things.
"""

from typing import Any, Final

from packaging.version import Version

SPECIFICATION: Final = "fintech_spec"
"""Where pluggy keeps the options of a specification: the project's name and ``_spec``."""


class HookDeprecated(FutureWarning):
    """A plugin implements a hook that will be gone; shown when the plugin is loaded.

    Attributes:
        since: version of fintech-kernel that said so first.
        removed_in: version of fintech-kernel without the hook.
        instead: what a plugin does instead, in words.
    """

    def __init__(self, *, hook: str, since: str, removed_in: str, instead: str) -> None:
        super().__init__(
            f"{hook} is deprecated since fintech-kernel {since} and gone in {removed_in}: {instead}"
        )
        self.since: Final = since
        self.removed_in: Final = removed_in
        self.instead: Final = instead


def deprecated_hooks(specifications: type) -> dict[str, HookDeprecated]:
    """Return the hooks of a specification class that are deprecated."""
    found: dict[str, HookDeprecated] = {}
    for name, function in vars(specifications).items():
        options: dict[str, Any] = getattr(function, SPECIFICATION, None) or {}
        warning = options.get("warn_on_impl")
        if isinstance(warning, HookDeprecated):
            found[name] = warning
    return found


def deprecation_faults(specifications: type, version: str) -> list[str]:
    """Return a line for each hook that is removed too late, or was announced too late.

    Args:
        specifications: the class with the specifications.
        version: of fintech-kernel, as it is now.
    """
    faults: list[str] = []
    for name, warning in deprecated_hooks(specifications).items():
        since, removed_in = Version(warning.since), Version(warning.removed_in)
        if Version(version) >= removed_in:
            faults.append(
                f"{name} should be gone since {removed_in}: remove it, or put its removal off"
            )
        if _promise(removed_in) <= _promise(since):
            faults.append(f"{name} works for no version that may break things after {since}")
    return faults


def _promise(version: Version) -> tuple[int, int]:
    """Return what SemVer promises by: the major version; below 1.0 the minor."""
    return (version.major, 0 if version.major else version.minor)
