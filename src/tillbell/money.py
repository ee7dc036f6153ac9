"""Money: integers in minor units, read and written as decimal text. Floats are never used.

The *exponent* of a currency is its number of digits after the point (ISO 4217; for coins, the
smallest unit of their chain). Adapters of providers that count differently say so. A currency
that is not in the table has no exponent: reading or writing its minor units is a `ValueError`.
`plain()` passes text of such an amount on unchanged.

Amounts are unbounded integers: 10 ETH in wei needs 65 bits.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP
        BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD
        FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD
        KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD
        NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
        SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED
        VES WST XCD XCG YER ZAR ZMW ZWG ZWL""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    # Coins.
    6: "ADA ATOM EURC TRX USDC USDT XRP",
    7: "XLM",
    8: "BCH BSV BTC DASH DOGE LTC ZEC",
    9: "SOL TON",
    10: "DOT",
    12: "XMR",
    18: "AVAX BNB DAI ETC ETH LINK MATIC POL SHIB",
}
_EXPONENTS = {code: digits for digits, codes in _BY_EXPONENT.items() for code in codes.split()}
CURRENCIES = frozenset(_EXPONENTS)

# At most 18 digits before the point and 30 after, so that the work stays bounded.
_AMOUNT = re.compile(r"(-?)(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,30}))?")
_MINOR = re.compile(r"[0-9]{1,36}")


def is_currency(code: str) -> bool:
    """Return whether a currency is known. Codes are upper case: `EUR`, `USDT`."""
    return code in _EXPONENTS


def exponent(currency: str) -> int:
    """Return how many digits the currency has after the point; `ValueError` if unknown.

    >>> exponent("EUR"), exponent("JPY"), exponent("KWD"), exponent("BTC")
    (2, 0, 3, 8)
    """
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise ValueError(f"{currency[:12]!r} is not a currency we know") from None


def parse_amount(text: str | Decimal | int, currency: str, *, signed: bool = False) -> int:
    """Return an amount in whole units ("149.99", 149) in minor units.

    Strict: ASCII digits, one point, no sign unless `signed`, no exponent, no grouping, no
    space, and no more digits than the currency has, unless they are zeros. Anything else is
    a `ValueError`; nothing is rounded. A provider's number must be a `Decimal`; a float is refused
    because it has lost digits already.

    >>> parse_amount("149.99", "MZN"), parse_amount("10.000", "EUR"), parse_amount(7, "JPY")
    (14999, 1000, 7)
    """
    sign, whole, fraction = _split(text)
    if sign and not signed:
        raise ValueError(f"{text} is negative")
    digits = exponent(currency)
    used, excess = fraction[:digits], fraction[digits:]
    if excess.strip("0"):
        raise ValueError(f"{text} has more digits than {currency}, which has {digits}")
    minor = int(whole + used.ljust(digits, "0"))
    return -minor if sign else minor


def parse_minor(text: str | int) -> int:
    """Return an amount in minor units, zero-padded or not, as an integer; else `ValueError`.

    >>> parse_minor("000000014999")
    14999
    """
    written = str(text)
    if isinstance(text, bool) or not _MINOR.fullmatch(written):
        raise ValueError(f"{written[:40]!r} is not an amount in minor units")
    return int(written)


@lru_cache(maxsize=4096)  # most sums of a payment are its amount or nothing
def format_amount(minor: int, currency: str) -> str:
    """Return minor units as decimal text with exactly the currency's digits.

    >>> format_amount(14999, "EUR"), format_amount(5, "KWD"), format_amount(-70, "JPY")
    ('149.99', '0.005', '-70')
    """
    digits = exponent(currency)
    sign = "-" if minor < 0 else ""
    written = str(abs(minor)).rjust(digits + 1, "0")
    if digits == 0:
        return sign + written
    return f"{sign}{written[:-digits]}.{written[-digits:]}"


def plain(text: str | Decimal | int, currency: str) -> str:
    """Return an amount with its currency's digits; with its own if the currency is unknown.

    For passing an amount on, never for adding it up: no digit is dropped, even if the currency has
    fewer. `ValueError` if it is not an amount.

    >>> plain("49", "EUR"), plain("49.5", "PTS"), plain("0.125", "EUR")
    ('49.00', '49.5', '0.125')
    """
    sign, whole, fraction = _split(text)
    if is_currency(currency):
        digits = exponent(currency)
        fraction = fraction[:digits].ljust(digits, "0") + fraction[digits:].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _split(text: str | Decimal | int) -> tuple[str, str, str]:
    """Return sign, whole units and fraction as digits."""
    match = _AMOUNT.fullmatch(_written(text))
    if match is None:
        raise ValueError(f"{str(text)[:40]!r} is not an amount like 149.99")
    return match[1], match[2], match[3] or ""


def _written(value: str | Decimal | int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        # A JSON number may be 1e2. Its value counts, but 1e999999999 must not fill the memory.
        return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < 40 else "?"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 128:
        return str(value)
    return "?"
