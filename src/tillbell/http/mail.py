"""Mail: sends e-mails by SMTP.

The standard library's client on a thread: a few mails a minute need no asynchronous one, and no
library more. TLS is verified. Where the setting asks for STARTTLS, a server without it
gets no mail.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import urlsplit

from tillbell.config import Settings

TIMEOUT_S = 20
_PORTS = {"smtp": 587, "smtps": 465}


class MailError(Exception):
    """The mail server did not take a mail. Its text is one line for a person, without secrets."""


class MailServer:
    """Sends by the mail server of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def is_set(self) -> bool:
        """Whether the settings name a mail server."""
        return bool(self._settings.smtp_url)

    async def send(self, message: EmailMessage, recipient: str) -> None:
        """Send a mail. `MailError` if the server did not take it."""
        try:
            await asyncio.to_thread(self._send, message, recipient)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise MailError(self._text_of(error)) from error

    def _send(self, message: EmailMessage, recipient: str) -> None:
        settings = self._settings
        with self._connected() as client:
            if settings.smtp_user:
                password = settings.smtp_password
                client.login(settings.smtp_user, password.reveal() if password is not None else "")
            client.send_message(message, settings.alert_from, [recipient])

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        url = urlsplit(settings.smtp_url)
        host, port = url.hostname or "", url.port or _PORTS[url.scheme]
        domain = settings.alert_from.rpartition("@")[2]
        context = ssl.create_default_context()
        if url.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, domain, timeout=TIMEOUT_S, context=context)
        client = smtplib.SMTP(host, port, domain, timeout=TIMEOUT_S)
        try:
            if settings.smtp_starttls:
                client.starttls(context=context)
        except BaseException:
            client.close()
            raise
        return client

    def _text_of(self, error: Exception) -> str:
        text = " ".join(_answer_of(error).split())[:300] or type(error).__name__
        password = self._settings.smtp_password
        secret = password.reveal() if password is not None else ""
        return text.replace(secret, "***") if secret else text


def _answer_of(error: Exception) -> str:
    """Return what the server answered, else the error's own text."""
    answers: list[tuple[int, bytes | str]] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = list(error.recipients.values())
    elif isinstance(error, smtplib.SMTPResponseException):
        answers = [(error.smtp_code, error.smtp_error)]
    for status, said in answers:
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"The mail server answered {status} {text}"
    return str(error)
