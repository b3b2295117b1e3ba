"""The data folder of ``fintech dev``: fresh secrets, the embedded database, the demo merchant.

Secrets are made once, readable by their owner alone, and used again at the next start. What does not
live here: settings of a real deployment, which come from the environment and are never generated.
"""

import json
import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from fintech_server.failures import CommandFailed

DEFAULT_FOLDER: Final = Path(".fintech")
SECRETS_FILE: Final = "secrets.json"
MERCHANT_FILE: Final = "merchant.json"
DATABASE_FILE: Final = "database.json"
LOCK_FILE: Final = "lock"

SECRET_BYTES: Final = 32
"""256 bits of each secret."""

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
OTHERS: Final = 0o077
"""Permission bits of everybody but the owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What a development server is protected with. ``folder_id`` is no secret: it names the folder."""

    app_secret: str
    jwt_secret: str
    db_api_token: str
    folder_id: str

    def __repr__(self) -> str:
        return f"Secrets(folder_id={self.folder_id!r})"


class DataFolder:
    """A folder with everything that a development server keeps."""

    def __init__(self, path: Path, held: Secrets) -> None:
        self.path: Final = path
        self.secrets: Final = held

    @classmethod
    def made(cls, path: Path) -> "DataFolder":
        """Return the folder; make it, with fresh secrets, where it does not exist.

        Raises:
            CommandFailed: it cannot be made or read, or others can read its secrets.
        """
        try:
            path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            if not (path / SECRETS_FILE).exists():
                _write(path / ".gitignore", "*\n")
                _write(path / SECRETS_FILE, json.dumps(asdict(_fresh_secrets()), indent=2))
        except OSError as error:
            raise CommandFailed(
                f"the data folder {path} cannot be made ({error.strerror}): choose another with"
                " --data-folder"
            ) from error
        return cls.existing(path)

    @classmethod
    def existing(cls, path: Path) -> "DataFolder":
        """Return a folder that ``fintech dev`` made.

        Raises:
            CommandFailed: there is none, or its secrets cannot be read, or others can read them.
        """
        file = path / SECRETS_FILE
        try:
            if sys.platform != "win32" and file.stat().st_mode & OTHERS:
                raise CommandFailed(f"others can read {file}: run `chmod 600 {file}`")
            held = Secrets(**json.loads(file.read_text("utf-8")))
        except FileNotFoundError:
            raise CommandFailed(
                f"there is no data folder {path}: start `fintech dev`, or name its folder with"
                " --data-folder"
            ) from None
        except (OSError, TypeError, ValueError):
            raise CommandFailed(
                f"{file} cannot be read: repair it, or remove {path} and its database to start afresh"
            ) from None
        return cls(path, held)

    def settings(self, *, database_url: str, database_token: str | None) -> dict[str, object]:
        """Return the settings of a development server, named like environment variables."""
        return {
            "app_env": "development",
            "app_secret": self.secrets.app_secret,
            "jwt_algorithm": "HS256",
            "jwt_secret": self.secrets.jwt_secret,
            "db_base_url": database_url,
            "db_api_token": database_token,
            "payments_processors_by_method": {"mobile_money": "sandbox_mobile"},
        }

    def note(self, name: str, facts: dict[str, Any]) -> None:
        """Keep a small note for the next start."""
        _write(self.path / name, json.dumps(facts))

    def noted(self, name: str) -> dict[str, Any]:
        """Return a note, empty where there is none that can be read."""
        try:
            found: object = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def forget(self, name: str) -> None:
        """Drop a note."""
        (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the folder for one server; a process that dies lets go of it.

        Raises:
            CommandFailed: another server holds it.
        """
        descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            if not _lock(descriptor):
                raise CommandFailed(
                    f"another `fintech dev` uses {self.path}: stop it, or choose another folder"
                    " with --data-folder"
                )
            yield
        finally:
            os.close(descriptor)


def _fresh_secrets() -> Secrets:
    return Secrets(
        app_secret=secrets.token_hex(SECRET_BYTES),
        jwt_secret=secrets.token_hex(SECRET_BYTES),
        db_api_token=secrets.token_hex(SECRET_BYTES),
        folder_id=f"dev_{secrets.token_hex(4)}",
    )


def _write(file: Path, text: str) -> None:
    """Put a file in place whole, readable by its owner alone from its first byte on."""
    beside = file.with_name(f"{file.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def _lock(descriptor: int) -> bool:
    """Try to take the lock; the operating system drops it with the process."""
    try:
        if sys.platform == "win32":
            import msvcrt  # the other systems do not have it

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # Windows does not have it

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
