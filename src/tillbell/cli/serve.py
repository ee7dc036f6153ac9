"""`tillbell serve`: run the gateway until it is told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillbell.cli.flags import Flags, load_settings

if TYPE_CHECKING:
    from tillbell.cli.running import RunningGateway
    from tillbell.config import LoadedSettings


def serve(flags: Flags | None = None) -> int:
    """Run the gateway: API, deliveries and health in one process.

    SIGTERM or Ctrl-C stops it gracefully, a second one at once. `tillbell config show` lists
    every setting.
    """
    loaded = load_settings(flags)
    settings = loaded.settings
    from tillbell import logs
    from tillbell.cli.running import run_loop

    logs.configure(settings.log_level, settings.log_format)
    if settings.processes > 1:
        from tillbell.cli.supervisor import supervise

        return run_loop(supervise(loaded))
    return run_loop(_serve(loaded))


async def _serve(loaded: LoadedSettings) -> int:
    from tillbell.cli.running import run_gateway
    from tillbell.logs import log_event
    from tillbell.web.server.uvicorn_server import StopSignals, serve_until

    settings = loaded.settings
    with StopSignals() as signals:
        async with run_gateway(settings) as running:
            running.gateway.setting_origins = loaded.origins
            print(_welcome(running), flush=True)
            if settings.dev:
                log_event("server.dev_mode", allowed=settings.allowed_cidrs)
            log_event("server.started", address=running.url)
            return 0 if await serve_until(signals, running.server, running.runtime) else 1


def _welcome(running: RunningGateway) -> str:
    from tillbell import __version__

    settings = running.gateway.settings
    lines = [f"tillbell {__version__} · {running.url}/api/v1 · data in {settings.data_dir}"]
    if settings.dev:
        lines.append("DEVELOPMENT MODE: endpoints may be http and on this machine.")
    if settings.hold:
        lines.append("HELD: nothing is sent before `tillbell release`.")
    key_text = "$TILLBELL_ADMIN_KEY" if settings.admin_key else "<key>"
    if running.new_key:
        key_text = running.new_key
        lines += ["", f"admin key  {running.new_key}", "           shown only once; keep it"]
    if running.setup_line:
        lines += ["", running.setup_line]
    lines += [
        "",
        f'curl {running.url}/api/v1/app -H "Authorization: Bearer {key_text}" \\',
        '  -H \'Content-Type: application/json\' -d \'{"name": "My shop", "uid": "shop"}\'',
        "",
    ]
    return "\n".join(lines)
