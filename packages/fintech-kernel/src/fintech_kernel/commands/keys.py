"""``fintech keys``: rotate, list and retire signing keys of a file (``JWT_KEYS_FILE``). None is shown."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from fintech_kernel.security.token_keys import TokenKey

DEFAULT_ALGORITHM: Final = "EdDSA"
DEFAULT_OVERLAP: Final = "1h"
"""Four times as long as a token may live."""

KEY_PREFIX: Final = "sig"

_DURATION: Final = re.compile(r"(\d{1,5})([smhd])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

File = Annotated[
    Path, typer.Option("--file", envvar="JWT_KEYS_FILE", help="The file of signing keys.")
]

app = typer.Typer(help="Signing keys of access tokens.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Signing keys of access tokens."""


@app.command("rotate")
def rotate(
    file: File,
    algorithm: Annotated[
        str, typer.Option(help="EdDSA, ES256, RS256, HS256, HS384 or HS512.")
    ] = DEFAULT_ALGORITHM,
    overlap: Annotated[
        str, typer.Option(help="How long the other keys verify once the new one signs.")
    ] = DEFAULT_OVERLAP,
    sign_after: Annotated[
        str, typer.Option(help="Let the new key sign only after so long: distribute it first.")
    ] = "0s",
) -> None:
    """Add a key that signs from now on, or later; make the file where there is none."""
    from fintech_kernel.clock import SystemClock  # brings the kernel
    from fintech_kernel.commands.surroundings import fail
    from fintech_kernel.identifiers import RandomIdentifiers
    from fintech_kernel.security.rotation import rotated
    from fintech_kernel.security.token_keys import ALGORITHMS

    if algorithm not in ALGORITHMS:
        fail(f"there is no algorithm {algorithm!r}: choose of {', '.join(ALGORITHMS)}")
    now = _now()
    signs_from = now + _seconds(sign_after)
    keys = rotated(
        _read(file) if file.exists() else [],
        algorithm=algorithm,
        key_id=RandomIdentifiers(SystemClock()).new(KEY_PREFIX),
        now=now,
        signs_from=signs_from,
        overlap_seconds=_seconds(overlap),
    )
    _write(file, keys)
    _show(keys, now)
    typer.echo(f"Next: give {file} to every server and restart them one by one.")
    if signs_from > now:
        typer.echo(f"They must all have it before {_time(signs_from)}, when the new key signs.")
    else:
        typer.echo("The new key signs in each as it starts. With several servers: --sign-after.")


@app.command("list")
def list_keys(file: File) -> None:
    """List keys: id, algorithm, state, made, signs from, verifies until."""
    _show(_read(file), _now())


@app.command("retire")
def retire(
    key_id: Annotated[str, typer.Argument(help="As `fintech keys list` shows.")], file: File
) -> None:
    """Refuse a key's tokens from now on, in every server that has read the file since."""
    from fintech_kernel.commands.surroundings import fail  # brings the kernel
    from fintech_kernel.security.rotation import RotationRefused, retired

    now = _now()
    try:
        keys = retired(_read(file), key_id, now=now)
    except RotationRefused as refused:
        fail(str(refused))
    _write(file, keys)
    _show(keys, now)
    typer.echo(f"Next: give {file} to every server and restart them.")
    typer.echo("To refuse its tokens everywhere at once, POST /v1/auth/revocations (signing_key).")


def _read(file: Path) -> "list[TokenKey]":
    from fintech_kernel.security.jwk_files import FileOfKeys  # see rotate

    return FileOfKeys(path=file, setting="--file", is_outside=False).read(check_mode=True)


def _write(file: Path, keys: "list[TokenKey]") -> None:
    from fintech_kernel.commands.surroundings import fail  # see rotate
    from fintech_kernel.security.jwk_files import KEYS_MAX, write_keys

    if len(keys) > KEYS_MAX:
        fail(f"{file} would hold more than {KEYS_MAX} keys: wait until the first are retired")
    try:
        write_keys(file, keys)
    except OSError as error:
        fail(f"{file} cannot be written ({type(error).__name__})")


def _show(keys: "list[TokenKey]", now: int) -> None:
    from fintech_kernel.security.token_keys import KeySet  # see rotate

    signer = KeySet(keys).signer(now)
    for key in keys:
        until = "-" if key.retires_at is None else _time(key.retires_at)
        state = "signs" if key is signer else _state(key, now)
        typer.echo(
            f"{key.key_id}\t{key.algorithm}\t{state}\t{_time(key.created_at)}"
            f"\t{_time(key.signs_from)}\t{until}"
        )


def _state(key: "TokenKey", now: int) -> str:
    if key.is_retired(now):
        return "retired"
    return "signs later" if key.sign_with is not None and key.signs_from > now else "verifies"


def _seconds(text: str) -> int:
    from fintech_kernel.commands.surroundings import fail  # see rotate

    duration = _DURATION.fullmatch(text)
    if duration is None:
        fail(f"{text!r} is no duration: write 90s, 15m, 1h or 2d")
    return int(duration[1]) * _UNIT_SECONDS[duration[2]]


def _now() -> int:
    from fintech_kernel.clock import MILLISECONDS_PER_SECOND, SystemClock  # see rotate

    return SystemClock().now_milliseconds() // MILLISECONDS_PER_SECOND


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
