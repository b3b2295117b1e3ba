"""``fintech docs``: pages of the documentation that the installed packages write themselves."""

import json

import typer

app = typer.Typer(
    help="Print a page of the documentation, made from what is installed.", no_args_is_help=True
)


@app.command()
def errors() -> None:
    """Print every problem that the API answers: when, and what to do."""
    from fintech_server.assembly import assembled  # brings the kernel, like the following
    from fintech_server.references import errors_page

    typer.echo(errors_page(assembled()), nl=False)


@app.command()
def permissions() -> None:
    """Print every permission: who has it, and what it guards."""
    from fintech_kernel.host import PluginHost  # see errors

    from fintech_server.assembly import assembled
    from fintech_server.references import permissions_page

    typer.echo(permissions_page(assembled(), PluginHost.installed()), nl=False)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of what is installed, its members sorted."""
    from fintech_server.assembly import assembled  # see errors

    typer.echo(json.dumps(assembled().openapi(), indent=1, sort_keys=True, ensure_ascii=False))


@app.command()
def settings() -> None:
    """Print every setting: what it takes, its default, and what it is for."""
    from fintech_kernel.host import PluginHost  # see errors

    from fintech_server.settings_reference import settings_page

    typer.echo(settings_page(PluginHost.installed()), nl=False)


@app.command()
def api() -> None:
    """Print every route of the API, with examples."""
    from fintech_server.api_reference import api_page
    from fintech_server.assembly import assembled  # see errors

    typer.echo(api_page(assembled()), nl=False)
