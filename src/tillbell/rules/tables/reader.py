"""Reads CSV as spreadsheets write it, part by part, in bounded memory.

Encodings: UTF-8 with or without its mark, UTF-16 with its mark, or one that is named. Between the
cells: a comma, semicolon, tab or bar, by the header; Excel's line `sep=;` is understood.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple


class Encoding(StrEnum):
    """Encodings of files, beside those that are told by their mark."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    WINDOWS_1250 = "windows-1250"
    WINDOWS_1251 = "windows-1251"
    WINDOWS_1252 = "windows-1252"
    WINDOWS_1253 = "windows-1253"
    WINDOWS_1254 = "windows-1254"
    WINDOWS_1255 = "windows-1255"
    WINDOWS_1256 = "windows-1256"
    WINDOWS_1257 = "windows-1257"
    WINDOWS_1258 = "windows-1258"
    ISO_8859_1 = "iso-8859-1"
    ISO_8859_2 = "iso-8859-2"
    ISO_8859_15 = "iso-8859-15"


_DELIMITERS = ",;\t|"
_ROW_MAX = 1024 * 1024  # characters of one row
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TableError(Exception):
    """The file cannot be read any further. `row` is counted from 1, the header included."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(text)
        self.row = row
        self.text = text


class TableRow(NamedTuple):
    """A row with cells. `number` is that of spreadsheets: the header has 1."""

    number: int
    cells: list[str]


class TableReader:
    """Reads a table whose bytes come part by part. `TableError` where it cannot go on.

    `known` are names of columns, by which the character between the cells is told.
    """

    def __init__(self, known: Iterable[str], encoding: str | None = None) -> None:
        self._known = {name.lower() for name in known}
        self._encoding = encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._first = b""  # bytes that are too few to tell the encoding
        self._text = ""  # the begin of a row
        self._delimiter: str | None = None
        self._rows = 0
        csv.field_size_limit(_ROW_MAX)

    @property
    def delimiter(self) -> str:
        """What stands between the cells; a comma until it is known."""
        return self._delimiter or ","

    def feed(self, data: bytes) -> list[TableRow]:
        """Return the rows that end in what has come so far."""
        self._text += self._decoded(data, is_last=False)
        end = _last_row_end(self._text)
        if end == 0 and len(self._text) > _ROW_MAX:
            text = "the row is too long; is a quotation mark missing?"
            raise TableError(self._rows + 1, text)
        ended, self._text = self._text[:end], self._text[end:]
        return list(self._read(ended))

    def end(self) -> list[TableRow]:
        """Return the rest of the rows."""
        text, self._text = self._text + self._decoded(b"", is_last=True), ""
        return list(self._read(text))

    def _decoded(self, data: bytes, *, is_last: bool) -> str:
        if self._decoder is None:
            self._first += data
            if len(self._first) < len(codecs.BOM_UTF8) and not is_last:
                return ""
            data, self._first = self._first, b""
            self._decoder = _decoder_of(data, self._encoding)
        try:
            return self._decoder.decode(data, is_last)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            row = self._rows + self._text.count("\n") + before.count(b"\n") + 1
            wrong = f"0x{error.object[error.start]:02X}"
            if self._encoding is not None:
                text = f"the byte {wrong} is not {self._encoding}; name the encoding of the file"
            else:
                text = (
                    f"the byte {wrong} is not UTF-8; save the file as `CSV UTF-8`, or say which"
                    " encoding it has, as in encoding=windows-1252"
                )
            raise TableError(row, text) from None

    def _read(self, text: str) -> Iterator[TableRow]:
        if not text:
            return
        if self._delimiter is None:
            self._delimiter, rest = self._told_delimiter(text)
            self._rows += rest is not text
            text = rest
        lines = io.StringIO(text, newline="")
        try:
            for cells in csv.reader(lines, delimiter=self._delimiter, strict=True):
                self._rows += 1
                if any(cells):
                    yield TableRow(self._rows, cells)
        except csv.Error as error:
            raise TableError(self._rows + 1, f"the row cannot be read: {error}") from None

    def _told_delimiter(self, text: str) -> tuple[str, str]:
        """Return what stands between the cells, and the text without the line that says so."""
        line, _, rest = text.partition("\n")
        if line.lower().startswith("sep=") and len(line.rstrip("\r")) == len("sep=;"):
            return line[4], rest
        header = text[: _first_row_end(text)]

        def fit(delimiter: str) -> tuple[int, int]:
            cells = next(csv.reader([header], delimiter=delimiter), [])
            names = {cell.strip().lower() for cell in cells}
            return len(names & self._known), len(cells)

        return max(_DELIMITERS, key=fit), text


def _decoder_of(data: bytes, encoding: str | None) -> codecs.IncrementalDecoder:
    for mark, marked in _MARKS:
        if data.startswith(mark):
            return codecs.getincrementaldecoder(marked)("strict")
    if encoding is None and b"\0" in data[:64]:
        text = "the file is no UTF-8 text; save it as `CSV UTF-8`, or as UTF-16 with its mark"
        raise TableError(1, text)
    return codecs.getincrementaldecoder(encoding or "utf-8")("strict")


def _last_row_end(text: str) -> int:
    """Return how many characters are whole rows: the last line end outside quotation marks."""
    end = text.rfind("\n") + 1
    is_quoted = text.count('"', 0, end) % 2 == 1
    while end and is_quoted:
        end = text.rfind("\n", 0, text.rfind('"', 0, end)) + 1
        is_quoted = text.count('"', 0, end) % 2 == 1
    return end


def _first_row_end(text: str) -> int:
    """Return the end of the first line outside quotation marks."""
    end = text.find("\n")
    while end >= 0 and text.count('"', 0, end) % 2:
        end = text.find("\n", end + 1)
    return end if end >= 0 else len(text)
