"""A mail server in this process: it takes mails and keeps them, or answers as it is told."""

from __future__ import annotations

import asyncio
import email
from email.message import EmailMessage
from email.policy import default
from typing import Self


class MailServer:
    """An async context manager. `refusal` answers RCPT in place of 250."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.raw: list[bytes] = []
        self.refusal: bytes | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def settings(self) -> dict[str, object]:
        """The settings of a gateway that sends by this server."""
        return {
            "smtp_url": f"smtp://127.0.0.1:{self.port}",
            "smtp_starttls": False,
            "alert_from": "tillbell@shop.example",
        }

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                await self._take(reader)
            if command == b"RCPT":
                self.recipients.append(line.decode().strip())
            refused = command == b"RCPT" and self.refusal is not None
            answer = self.refusal if refused and self.refusal else b"250 ok"
            writer.write((b"221 bye" if command == b"QUIT" else answer) + b"\r\n")
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        raw = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        self.raw.append(raw)
        mail = email.message_from_bytes(raw, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
