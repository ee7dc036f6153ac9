"""Parses the URL of an endpoint once and strictly.

Lenient parsers disagree about the host of a URL, and attackers use that to reach forbidden hosts
(SSRF). So blanks, control characters, backslashes, credentials, fragments and unusual notations
of numbers are refused. An accepted URL has exactly one meaning (RFC 3986; WHATWG URL agrees on
this subset).

A URL that is saved is checked further and written in one form (`canonical_url`). One that is stored
already is only parsed: what older versions took is sent with its characters percent-encoded.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import NamedTuple, NoReturn

from tillbell.errors import Invalid, Problem

URL_MAX = 2048
HOST_MAX = 253  # RFC 1035 §2.3.4, in text form
LABEL_MAX = 63

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(#.*)?", re.DOTALL)
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_IN_A_TARGET = re.compile(r"[\"<>\[\]^`{|}]")  # RFC 3986 §3.3 and §3.4 leave these out
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=[/?]|$)", re.IGNORECASE)
_FOLDED = "has a host with characters that are not letters or digits"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ParsedUrl(NamedTuple):
    """The parts of an endpoint's URL."""

    scheme: str  # http or https
    host: str  # lower case, A-labels, no final dot; a literal IPv6 address without brackets
    port: int
    path: str  # path and query as written, but percent-encoded; at least "/"


def parse_url(url: str) -> ParsedUrl:
    """Parse a URL. `Invalid` says what to change. The host is not judged here.

    >>> parse_url("https://Hooks.Example.com/a%2Fb?c")
    ParsedUrl(scheme='https', host='hooks.example.com', port=443, path='/a%2Fb?c')
    """
    if len(url) > URL_MAX:
        refuse("url_too_long", f"is longer than {URL_MAX} characters")
    if _UNSEEN.search(url):
        refuse("url_characters", "contains blanks or control characters; percent-encode them")
    if "\\" in url:
        refuse("url_characters", "contains a backslash; write / or %5C")
    shape = _URL.fullmatch(url)
    scheme = (shape[1] if shape else url.partition(":")[0]).lower()
    if scheme not in _DEFAULT_PORTS:
        refuse("url_scheme", "must begin with https://, or http:// where it is allowed")
    if shape is None:
        refuse("url_syntax", f"must look like {scheme}://host/path")
    if shape[4] is not None:
        refuse("url_fragment", "has a fragment (#…), which is never sent; leave it out")
    if not shape[3].isascii():
        refuse("url_characters", "has characters in its path that must be percent-encoded")
    host, port = _authority(shape[2], _DEFAULT_PORTS[scheme])
    path = _NOT_IN_A_TARGET.sub(_percent_encoded, shape[3])
    return ParsedUrl(scheme, host, port, path if path.startswith("/") else "/" + path)


def canonical_url(url: str) -> str:
    """Return a URL as it is saved: scheme and host in their one form, the rest as written.

    `Invalid` if it cannot be parsed, or if the request line could not carry it as it is written
    (RFC 9112 §3.2).

    >>> canonical_url("HTTPS://Bücher.Example.:443/a%2Fb?c")
    'https://xn--bcher-kva.example/a%2Fb?c'
    >>> canonical_url("http://example.com:443")
    'http://example.com:443'
    """
    scheme, host, port, _ = parse_url(url)
    shape = _URL.fullmatch(url)
    assert shape is not None
    _check_target(shape[3])
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}{'' if port == _DEFAULT_PORTS[scheme] else f':{port}'}{shape[3]}"


def _check_target(target: str) -> None:
    """Refuse a path and query that different programs would send or read differently."""
    if character := _NOT_IN_A_TARGET.search(target):
        instead = _percent_encoded(character)
        refuse("url_characters", f"contains {character[0]} in its path or query; write {instead}")
    if _LONE_PERCENT.search(target):
        refuse("url_characters", "contains a % without two hexadecimal digits; write %25")
    if segment := _DOT_SEGMENT.search(target.partition("?")[0]):
        refuse("url_path", f"contains {segment[0]} in its path; write the path that it leads to")


def _percent_encoded(character: re.Match[str]) -> str:
    return f"%{ord(character[0]):02X}"


def is_localhost(host: str) -> bool:
    """Return whether a name always means this machine (RFC 6761 §6.3)."""
    return host == "localhost" or host.endswith(".localhost")


def is_literal(host: str) -> bool:
    """Return whether a parsed host is an address and not a name."""
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def refuse(kind: str, message: str) -> NoReturn:
    """Refuse the `url` of a request body. The message begins with "The URL"."""
    text = f"The URL {message.removesuffix('.')}."
    raise Invalid(Problem(("body", "url"), text, kind))


def _authority(text: str, default_port: int) -> tuple[str, int]:
    if "@" in text:
        refuse("url_credentials", "contains credentials; put them into the endpoint's headers")
    if text.startswith("["):
        literal, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            refuse("url_host", "has a malformed IPv6 address; write [address]:port")
        return _ipv6(literal), _port(rest, default_port)
    name, colon, port = text.partition(":")
    return _host(name), _port(colon + port, default_port)


def _port(text: str, default: int) -> int:
    if not text:
        return default
    digits = text[1:]
    # length first: a long number is never converted
    if len(digits) > 5 or not re.fullmatch("[1-9][0-9]*", digits) or int(digits) > 65_535:
        refuse("url_port", "has a port that is not a plain number from 1 to 65535")
    return int(digits)


def _ipv6(text: str) -> str:
    if "%" in text:
        refuse("url_host", "has a zone identifier (%…); zones mean nothing to others")
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        refuse("url_host", "has a malformed IPv6 address")


def _host(text: str) -> str:
    if unicodedata.normalize("NFKC", text) != text:  # before `lower`, which folds some of them
        refuse("url_host", _FOLDED)
    name = text.lower().removesuffix(".")
    if not name:
        refuse("url_host", "has no host")
    labels = [_label(label) for label in name.split(".")]
    host = ".".join(labels)
    if len(host) > HOST_MAX:
        refuse("url_host", f"has a host of more than {HOST_MAX} characters")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(host)
    return host


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        refuse("url_host", "must write an IPv4 address as four plain decimal numbers")


def _label(label: str) -> str:
    if not label.isascii():
        label = _a_label(label)
    if len(label) > LABEL_MAX or not _LABEL.fullmatch(label):
        refuse("url_host", "has a host that is not a domain name")
    return label


def _a_label(label: str) -> str:
    """Return an international label in ASCII (RFC 5890), or refuse it.

    Characters that other programs fold into something else (circled digits, full-width
    letters, foreign full stops, soft hyphens) are refused, not folded: the name that
    is looked up is the name that was typed.
    """
    if not all(_is_name_character(character) for character in label):
        refuse("url_host", _FOLDED)
    return "xn--" + label.encode("punycode").decode("ascii")


def _is_name_character(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character == "-"
    return unicodedata.category(character) in {"Ll", "Lo", "Lm", "Mn", "Mc"}
