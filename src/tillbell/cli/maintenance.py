"""`tillbell backup`, `healthcheck` and `version`: commands for the scripts of operators."""

from __future__ import annotations

from pathlib import Path

from tillbell.cli.flags import RemoteFlags, StoreFlags, load_settings


def backup(target: Path, flags: StoreFlags | None = None) -> None:
    """Copy the whole store to a new file. The gateway may be running.

    The master key is not in the copy: back up `master.key` (or TILLBELL_MASTER_KEY) separately.
    For a store on PostgreSQL use the tools of that server.

    Parameters
    ----------
    target
        The file to write. It must not exist.
    """
    import asyncio

    settings = load_settings(flags).settings
    from tillbell.clock import SystemClock
    from tillbell.errors import Misconfigured
    from tillbell.storage.opening import is_shared, store_at

    is_file = not is_shared(settings.database_url)
    if is_file and not settings.sqlite_path.is_file():
        raise Misconfigured(f"there is no database at {settings.sqlite_path}")
    if target.exists():
        raise Misconfigured(f"{target} exists; a backup never overwrites a file")
    asyncio.run(store_at(settings.database_url, SystemClock()).backup(str(target)))
    print(f"{target}: {target.stat().st_size:,} bytes")


def healthcheck(flags: RemoteFlags | None = None, *, live: bool = False) -> int:
    """Ask the gateway on this machine whether it is ready; exit code 0 if so.

    Parameters
    ----------
    live
        Ask only whether it answers (for liveness checks, which restart it).
    """
    settings = load_settings(flags).settings
    from tillbell.cli.client import ApiClient

    answer = ApiClient(settings.local_url, None).get_raw("/livez" if live else "/readyz?verbose")
    print(answer.body.decode("utf-8", "replace").strip())
    return 0 if answer.status == 200 else 1
