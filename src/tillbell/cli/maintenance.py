"""`tillbell backup`, `compact` and `healthcheck`: commands for the scripts of operators."""

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


def compact(flags: StoreFlags | None = None) -> None:
    """Write the database file anew, without what was deleted. The gateway must be stopped.

    What SQLite deletes stays in its file until other data takes its place. This is for the time
    after an erasure, or to give room back to the disk; it needs as much room again while it runs.
    For a store on PostgreSQL use `VACUUM FULL` of that server.
    """
    settings = load_settings(flags).settings
    from tillbell.errors import Misconfigured
    from tillbell.storage.opening import is_shared
    from tillbell.storage.sqlite.compact import compact as compact_file

    if is_shared(settings.database_url):
        raise Misconfigured("this store is on PostgreSQL: use VACUUM FULL there")
    path = settings.sqlite_path
    if not path.is_file():
        raise Misconfigured(f"there is no database at {path}")
    before = path.stat().st_size
    compact_file(path)
    print(f"{path}: {before:,} → {path.stat().st_size:,} bytes")


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
