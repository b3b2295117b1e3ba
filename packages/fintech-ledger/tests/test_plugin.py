"""The ledger as the host sees it, without its siblings."""

from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.domain.permissions import MERCHANT_ROLES, PLATFORM_ROLES, Permissions
from fintech_kernel.host import PluginHost
from fintech_kernel.web.app import migrations
from fintech_ledger import plugin
from fintech_ledger.domain.adjustments import Adjustments
from fintech_ledger.domain.closes import Closes
from fintech_ledger.domain.folding import Folding
from fintech_ledger.domain.period_closes import Periods


def test_it_loads_alone():
    host = PluginHost.of([plugin])

    (loaded,) = host.plugins
    assert loaded.manifest.name == "ledger"
    provided = {provider.provides for provider in host.service_providers()}
    assert provided == {Ledger, Folding, Closes, Periods, Adjustments}


def test_its_tables_bear_its_prefix():
    names = [one.name for one in migrations(PluginHost.of([plugin]))]

    assert names == ["fintech-kernel", "fintech-ledger"]


def test_everybody_reads_their_books_and_few_the_trial_balance():
    host = PluginHost.of([plugin])
    permissions = Permissions(host.permissions())

    readers = {role for role in permissions.roles() if "ledger:read" in permissions.of_role(role)}
    auditors = {role for role in permissions.roles() if "ledger:audit" in permissions.of_role(role)}

    assert readers == PLATFORM_ROLES | MERCHANT_ROLES
    assert auditors == {"platform_admin", "platform_finance", "auditor"}
