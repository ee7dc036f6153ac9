"""The `tillbell` command.

Exit codes: 0 done; 1 failed (a check failed, the gateway refused, something was lost); 2 the
settings or the command line must change. Errors are one line on standard error.

Commands are named by path and loaded when they are used, so that `--help` is fast.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

DONE, FAILED, MISUSED = 0, 1, 2
# Rarely, as a start makes few cycles, and each collection visits all that is loaded.
COLLECT_AFTER = (50_000, 20, 50)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. Files it creates are readable by their owner only."""
    os.umask(0o077)
    gc.set_threshold(*COLLECT_AFTER)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    from cyclopts import CycloptsError

    from tillbell.errors import Misconfigured, TillbellError

    try:
        code = build()(list(arguments), exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return MISUSED  # cyclopts has printed the error
    except Misconfigured as error:
        return _print_error(error, MISUSED)
    except TillbellError as error:
        return _print_error(error, FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has ended: no traceback at exit
        return FAILED
    return code if isinstance(code, int) else DONE


def build() -> App:
    """Return the application with all commands."""
    from cyclopts import App

    from tillbell.cli.version import version_text

    app = App(
        name="tillbell",
        help="The webhook gateway for commerce and payments.",
        version=version_text(),
        help_format="plaintext",  # Markdown would cost 50 ms at each start
    )
    for name, (path, doc) in _COMMANDS.items():
        app.command(f"tillbell.cli.{path}", name=name, help=doc)
    for group, (group_doc, commands) in _GROUPS.items():
        sub = App(name=group, help=group_doc)
        for name, (path, doc) in commands.items():
            sub.command(f"tillbell.cli.{path}", name=name, help=doc)
        app.command(sub)
    return app


# Name → (module and function, help text). The module is not loaded for the help text.
_COMMANDS = {
    "serve": ("serve:serve", "Run the gateway until it is told to stop (SIGTERM, Ctrl-C)."),
    "demo": (
        "demo:demo",
        "Run a demo with a shop and six subscribers, one flaky and one down; nothing is kept.",
    ),
    "send": ("remote:send", "Publish a message to a running gateway."),
    "list": ("lists:list_", "List messages, deliveries, callbacks and more, by a filter."),
    "export": ("tables:export", "Write all rows of a list to a file: CSV, JSON or NDJSON."),
    "import": ("tables:import_", "Import orders, products, stock or customers from CSV."),
    "resend": ("lists:resend", "Send a message to an endpoint again."),
    "why": ("remote:why", "Tell why a message has not reached an endpoint, and what to do."),
    "release": ("remote:release", "Let a gateway send that was started with --hold."),
    "trigger": ("trigger:trigger", "Send a callback as a provider would, signed and realistic."),
    "listen": ("listen:listen", "Receive the messages of an application, and show each one."),
    "backup": ("maintenance:backup", "Copy the store to a new file while it is in use."),
    "compact": (
        "maintenance:compact",
        "Write the database file anew, without what was deleted.",
    ),
    "move": ("move:move", "Move the store from SQLite into PostgreSQL."),
    "reseal": ("remote:reseal", "Seal all secrets under the newest master key."),
    "healthcheck": (
        "maintenance:healthcheck",
        "Ask the gateway on this machine whether it is ready.",
    ),
    "version": ("version:version", "Print the version."),
}
_GROUPS = {
    "config": (
        "Settings.",
        {"show": ("show:show", "Show every setting, its value (secrets masked) and its origin.")},
    ),
    "key": (
        "API keys of a running gateway.",
        {
            "create": ("remote:create_key", "Create an API key; it is shown only once."),
            "list": (
                "remote:list_keys",
                "List API keys with scopes, application, expiry and last use.",
            ),
            "delete": ("remote:delete_key", "Delete an API key; it stops working at once."),
        },
    ),
    "inbox": (
        "Inboxes of a running gateway: URLs that keep every request as it came.",
        {
            "create": ("inbox:create", "Make an inbox and print its URL."),
            "list": ("inbox:list_inboxes", "List inboxes with what has come to them."),
            "show": ("inbox:show", "List the requests of an inbox, or wait for the next one."),
            "delete": ("inbox:delete", "Delete an inbox with its requests."),
        },
    ),
    "audit": (
        "The proof of a running gateway's audit log; `tillbell list audit` lists it.",
        {
            "verify": ("audit:verify", "Check that no entry was altered or removed."),
            "head": ("audit:head", "Print the hash of the newest entry, to be noted elsewhere."),
        },
    ),
    "people": (
        "People who sign in to the pages.",
        {
            "list": ("people:list_people", "List people with role and last sign-in."),
            "setup-link": (
                "people:setup_link",
                "Print a link to make the owner account; it works once, for a day.",
            ),
            "reset-password": (
                "people:reset_password",
                "Print a link to choose a new password; it works once, for a day.",
            ),
            "recovery-link": (
                "people:recovery_link",
                "Print a link that signs an owner in without a password; once, within an hour.",
            ),
            "invite": (
                "people:invite",
                "Print a link that lets a person in with a role; it works once, for seven days.",
            ),
            "reset-totp": (
                "people:reset_totp",
                "Turn off the second factor of a person who has lost it.",
            ),
            "remove": ("people:remove", "Remove a person."),
            "sign-out": ("people:sign_out", "End every session of a person."),
        },
    ),
    "signature": (
        "Standard Webhooks signatures.",
        {
            "sign": ("signature:sign", "Write the three headers of a signed message."),
            "verify": ("signature:verify", "Check a signature; exit code 1 if it is wrong."),
            "explain": ("signature:explain", "Find out why a signature does not match."),
        },
    ),
}


def _print_error(error: Exception, code: int) -> int:
    print(f"tillbell: {' '.join(str(error).split())}", file=sys.stderr)
    return code
