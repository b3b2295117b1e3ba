import pytest
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.permissions import MERCHANT_ROLES, PLATFORM_ROLES, ROLES, Permissions
from fintech_kernel.errors import Forbidden, StartupFault
from fintech_kernel.hooks import Permission


def test_a_role_has_what_was_declared_and_nothing_else(permissions) -> None:
    viewer = Actor(subject="ann", roles=("merchant_viewer",), merchant_id="m")
    assert permissions.allows(viewer, "things:read")
    assert not permissions.allows(viewer, "things:write")
    assert not permissions.allows(viewer, "things:unheard_of")
    permissions.require(viewer, "things:read")
    with pytest.raises(Forbidden):
        permissions.require(viewer, "things:write")


def test_one_of_several_roles_is_enough(permissions) -> None:
    both = Actor(subject="ann", roles=("merchant_viewer", "merchant_operator"), merchant_id="m")
    assert permissions.allows(both, "things:write")


def test_unknown_roles_of_an_actor_permit_nothing(permissions) -> None:
    assert not permissions.allows(Actor(subject="job:x", roles=("system",)), "things:read")
    assert not permissions.allows(Actor(subject="ann", roles=()), "things:read")


def test_scopes_narrow_what_roles_allow_and_add_nothing(permissions) -> None:
    def actor(*scopes: str) -> Actor:
        return Actor(subject="k", roles=("merchant_viewer",), merchant_id="m", scopes=scopes)

    assert permissions.allows(actor("things:read"), "things:read")
    assert not permissions.allows(actor("things:write"), "things:write")
    assert not permissions.allows(actor("things:write"), "things:read")
    assert not permissions.allows(actor(), "things:read")


def test_names_and_roles_are_listed(permissions) -> None:
    assert permissions.names() == ("things:read", "things:write")
    assert permissions.of_role("merchant_viewer") == ("things:read",)
    assert [declared.name for declared in permissions.declarations()] == list(permissions.names())
    assert set(permissions.roles()) == set(ROLES) == MERCHANT_ROLES | PLATFORM_ROLES
    assert not MERCHANT_ROLES & PLATFORM_ROLES


def test_all_faults_of_declarations_are_told_at_once() -> None:
    with pytest.raises(StartupFault) as fault:
        Permissions(
            [
                Permission(name="a:b", summary="", roles=("root",)),
                Permission(name="a:b", summary="", roles=("auditor",)),
                Permission(name="ab", summary="", roles=("auditor",)),
                Permission(name="a:c", summary="", roles=()),
            ]
        )
    text = str(fault.value)
    assert len(fault.value.faults) == 4
    for part in ("no role 'root'", "declared twice", "resource:action", "no role has it"):
        assert part in text
