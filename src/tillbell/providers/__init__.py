"""The providers whose callbacks we understand: one adapter file for each, all of one shape.

The shape is `Provider` in kit/base.py. A new provider is a file of its own and an entry in
`_PLACES`. An adapter is loaded when it is first asked for: a gateway has sources of few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from tillbell.providers.kit.base import Provider

# Name of a provider → its module here, and its name there if it is not PROVIDER.
_PLACES: Final[Mapping[str, str]] = {
    "adyen": "adyen",
    "aftership": "aftership",
    "allsecure": "allsecure",
    "amazon-ses": "amazon_ses",
    "authorizenet": "authorizenet",
    "braintree": "braintree",
    "brite": "brite",
    "btcpay": "btcpay",
    "checkoutcom": "checkoutcom",
    "chipcard": "chipcard",
    "custom": "custom.provider",
    "dexpress": "dexpress",
    "dhl": "dhl",
    "dpd": "dpd",
    "emerchantpay": "emerchantpay",
    "forumpay": "forumpay",
    "github": "github",
    "gocardless": "gocardless",
    "klarna": "klarna",
    "kopa": "kopa",
    "mailgun": "mailgun",
    "mercadopago": "mercadopago",
    "mollie": "mollie",
    "monri": "monri",
    "mozarto": "mozarto",
    "neosurf": "neosurf",
    "nestpay": "nestpay",
    "nuvei": "nuvei",
    "paddle": "paddle",
    "payone": "payone",
    "paypal": "paypal",
    "payu": "payu",
    "postmark": "postmark",
    "przelewy24": "przelewy24",
    "razorpay": "razorpay",
    "resend": "resend",
    "sendgrid": "sendgrid",
    "shopify": "shopify",
    "shoppex": "shoppex",
    "square": "square",
    "standardwebhooks": "standardwebhooks",
    "stripe": "stripe",
    "trustpayments": "trustpayments",
    "vercel-analytics": "vercel:ANALYTICS",
    "vercel-speed-insights": "vercel:SPEED_INSIGHTS",
    "woocommerce": "woocommerce",
    "worldline": "worldline",
    "worldpay": "worldpay",
    "worldpay-access": "worldpay_access",
    "wspay": "wspay",
    "zenofy": "zenofy",
}


class _Providers(Mapping[str, Provider]):
    """Every provider by its name. The names are known without loading an adapter."""

    def __getitem__(self, name: str) -> Provider:
        module, _, attribute = _PLACES[name].partition(":")
        provider: Provider = getattr(import_module(f"{__name__}.{module}"), attribute or "PROVIDER")
        return provider

    def __contains__(self, name: object) -> bool:
        return name in _PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


PROVIDERS: Mapping[str, Provider] = _Providers()
