"""Hooks go away as announced: not before, not later, and nobody is surprised."""

import warnings

import pluggy
import pytest
from fintech_kernel.deprecations import HookDeprecated, deprecated_hooks, deprecation_faults
from fintech_kernel.hooks import FintechHooks, hookimpl, hookspec


class Planted:
    """Specifications of another day: one hook is on its way out."""

    @hookspec
    def fintech_kept(self):
        """Stays."""

    @hookspec(
        warn_on_impl=HookDeprecated(
            hook="fintech_gone", since="0.3", removed_in="0.5", instead="implement fintech_kept"
        )
    )
    def fintech_gone(self):
        """Goes."""


class Hasty:
    @hookspec(
        warn_on_impl=HookDeprecated(
            hook="fintech_rushed", since="1.2", removed_in="1.3", instead="hurry"
        )
    )
    def fintech_rushed(self):
        """Goes too soon."""


def undocumented(specifications: type, page: str) -> list[str]:
    """Return deprecated hooks whose section does not say so."""
    return [
        name
        for name, warning in deprecated_hooks(specifications).items()
        if f"**Deprecated** since {warning.since}"
        not in page.partition(f"## {name}\n")[2].partition("\n## ")[0]
    ]


def test_no_removal_of_a_hook_is_overdue(packages):
    (kernel,) = [one for one in packages if one.name == "fintech-kernel"]
    assert deprecation_faults(FintechHooks, kernel.project["version"]) == []


def test_every_deprecated_hook_says_so_in_its_section(repository):
    assert undocumented(FintechHooks, (repository / "docs/hooks.md").read_text()) == []


@pytest.mark.parametrize(
    ("version", "is_overdue"), [("0.3.0", False), ("0.4.9", False), ("0.5.0", True), ("1.0", True)]
)
def test_a_removal_that_is_overdue_is_noticed(version, is_overdue):
    faults = deprecation_faults(Planted, version)
    assert faults == (
        ["fintech_gone should be gone since 0.5: remove it, or put its removal off"]
        if is_overdue
        else []
    )


def test_an_announcement_that_leaves_no_time_is_noticed():
    assert deprecation_faults(Hasty, "1.2.0") == [
        "fintech_rushed works for no version that may break things after 1.2"
    ]


def test_a_section_that_hides_the_deprecation_is_noticed():
    page = "## fintech_kept\n\n**Deprecated** since 0.3\n\n## fintech_gone\n\nAs ever.\n\n## more\n"
    assert undocumented(Planted, page) == ["fintech_gone"]
    assert undocumented(Planted, page.replace("As ever.", "**Deprecated** since 0.3: keep.")) == []


def test_who_implements_a_deprecated_hook_is_warned_and_nobody_else():
    class Old:
        @hookimpl
        def fintech_gone(self):
            return []

    class New:
        @hookimpl
        def fintech_kept(self):
            return []

    manager = pluggy.PluginManager("fintech")
    manager.add_hookspecs(Planted)
    with pytest.warns(
        HookDeprecated, match=r"since fintech-kernel 0\.3 and gone in 0\.5: implement"
    ):
        manager.register(Old())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.register(New())
