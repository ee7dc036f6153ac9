"""The providers whose callbacks we understand: one adapter file for each, all of one shape.

The shape is `Provider` in kit/base.py. A new provider is a file of its own and an entry in `_ALL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tillbell.providers import (
    adyen,
    allsecure,
    amazon_ses,
    authorizenet,
    braintree,
    brite,
    btcpay,
    checkoutcom,
    chipcard,
    dexpress,
    emerchantpay,
    forumpay,
    github,
    gocardless,
    kopa,
    mailgun,
    mercadopago,
    mollie,
    mozarto,
    neosurf,
    paddle,
    payone,
    paypal,
    payu,
    postmark,
    razorpay,
    resend,
    sendgrid,
    shopify,
    shoppex,
    square,
    standardwebhooks,
    stripe,
    trustpayments,
    vercel,
    woocommerce,
    worldpay,
    worldpay_access,
    zenofy,
)
from tillbell.providers.custom import provider as custom
from tillbell.providers.kit.base import Provider

_ALL: tuple[Provider, ...] = (
    adyen.PROVIDER,
    allsecure.PROVIDER,
    amazon_ses.PROVIDER,
    authorizenet.PROVIDER,
    braintree.PROVIDER,
    brite.PROVIDER,
    btcpay.PROVIDER,
    checkoutcom.PROVIDER,
    chipcard.PROVIDER,
    custom.PROVIDER,
    dexpress.PROVIDER,
    emerchantpay.PROVIDER,
    forumpay.PROVIDER,
    github.PROVIDER,
    gocardless.PROVIDER,
    kopa.PROVIDER,
    mailgun.PROVIDER,
    mercadopago.PROVIDER,
    mollie.PROVIDER,
    mozarto.PROVIDER,
    neosurf.PROVIDER,
    paddle.PROVIDER,
    payone.PROVIDER,
    paypal.PROVIDER,
    postmark.PROVIDER,
    payu.PROVIDER,
    razorpay.PROVIDER,
    resend.PROVIDER,
    sendgrid.PROVIDER,
    shopify.PROVIDER,
    shoppex.PROVIDER,
    square.PROVIDER,
    standardwebhooks.PROVIDER,
    stripe.PROVIDER,
    trustpayments.PROVIDER,
    vercel.ANALYTICS,
    vercel.SPEED_INSIGHTS,
    woocommerce.PROVIDER,
    worldpay.PROVIDER,
    worldpay_access.PROVIDER,
    zenofy.PROVIDER,
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.name: provider for provider in _ALL})
