"""Acts on the shop's records: the webhooks of products, and what is deleted."""

from __future__ import annotations

from typing import Any

from tillbell.model.endpoints import ANY_PRODUCT, Endpoint, EndpointStatus
from tillbell.model.shop import Customer, Product
from tillbell.web.pages import customers, products
from tillbell.web.pages.act import (
    ActForm,
    ActPage,
    ActResult,
    ApiAnswer,
    ApiCall,
    FormField,
    SentFields,
    act_pages,
)
from tillbell.web.pages.page import Visit
from tillbell.web.pages.shop_lists import record_of

_PRODUCTS, _CUSTOMERS = "/products", "/customers"


# ── the webhook of a product, and that of all others ─────────────────────────────────────────────


def _webhook_fields(endpoint: Endpoint | None) -> list[FormField]:
    hint = "It is sent in X-Webhook-Secret. "
    if endpoint is not None and endpoint.secrets:
        hint += "Left empty, the one that is set stays."
    is_on = endpoint is None or endpoint.status is not EndpointStatus.DISABLED
    return [
        FormField(
            "url",
            "URL",
            value=endpoint.url if endpoint is not None else "",
            hint="https://… of your server.",
            is_required=True,
            is_code=True,
        ),
        FormField("secret", "Secret", "secret", hint=hint),
        FormField("enabled", "Enabled", "check", "yes" if is_on else ""),
        FormField(
            "ownLinesOnly",
            "Send only the lines with this product",
            "check",
            "yes" if endpoint is not None and endpoint.own_lines else "",
            is_rare=True,
        ),
    ]


def _webhook_body(sent: SentFields, endpoint: Endpoint | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "url": sent.text("url"),
        "enabled": sent.has("enabled"),
        "ownLinesOnly": sent.has("ownLinesOnly"),
    }
    if endpoint is not None:  # what the form does not show stays
        selectors = endpoint.selectors
        body["profile"] = endpoint.profile
        body["eventTypes"] = list(selectors) if selectors is not None else None
    return body | ({"secret": secret} if (secret := sent.text("secret")) else {})


async def _product(visit: Visit) -> Product:
    return await record_of(visit, Product, "product")


def _product_link(visit: Visit, product: Product) -> str:
    return visit.link(f"/products/{product.id}", app=visit.names_of(product.scope)[0])


async def _webhook_form(visit: Visit) -> ActForm:
    product = await _product(visit)
    uid = product.uid or product.id
    name = products.name_of(product)
    return ActForm(
        title=f"Webhook of {name}",
        verb="Save",
        consequences=[
            "Each order with this product is sent to the URL.",
            "It is sent once, also if several of its products have the same URL and secret.",
        ],
        back=_product_link(visit, product),
        back_word=name,
        fields=_webhook_fields(await products.own_webhook(visit, product.scope, uid)),
    )


async def _webhook_call(visit: Visit, sent: SentFields) -> ApiCall:
    product = await _product(visit)
    uid = product.uid or product.id
    endpoint = await products.own_webhook(visit, product.scope, uid)
    path = f"/app/{product.scope}/product/{uid}/webhook"
    return ApiCall("PUT", path, _webhook_body(sent, endpoint))


async def _webhook_saved(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    is_on = answer.doc.get("enabled") is True
    text = "It is saved: the next order is sent there." if is_on else "It is saved, switched off."
    return ActResult(text, _product_link(visit, await _product(visit)))


async def _removal_form(visit: Visit) -> ActForm:
    product = await _product(visit)
    name = products.name_of(product)
    return ActForm(
        title=f"Remove the webhook of {name}",
        verb="Remove the webhook",
        consequences=["The product inherits the webhook of products without one, if there is one."],
        back=_product_link(visit, product),
        back_word=name,
        is_danger=True,
    )


async def _removal_call(visit: Visit, _: SentFields) -> ApiCall:
    product = await _product(visit)
    return ApiCall("DELETE", f"/app/{product.scope}/product/{product.uid or product.id}/webhook")


async def _removed(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The webhook is removed.", _product_link(visit, await _product(visit)))


async def _default_form(visit: Visit) -> ActForm:
    app = await visit.the_app()
    return ActForm(
        title="Webhook of products without one",
        verb="Save",
        consequences=["Orders whose products have no webhook of their own are sent there."],
        back=_products_link(visit, app.uid or app.id),
        back_word="Products",
        fields=_webhook_fields(await products.own_webhook(visit, app.id, ANY_PRODUCT)),
    )


async def _default_call(visit: Visit, sent: SentFields) -> ApiCall:
    app = await visit.the_app()
    endpoint = await products.own_webhook(visit, app.id, ANY_PRODUCT)
    return ApiCall("PUT", f"/app/{app.id}/product-webhook", _webhook_body(sent, endpoint))


async def _default_saved(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    app = await visit.the_app()
    return ActResult("It is saved.", _products_link(visit, app.uid or app.id))


def _products_link(visit: Visit, app_name: str) -> str:
    return visit.link(_PRODUCTS, app=app_name)


# ── what is deleted ──────────────────────────────────────────────────────────────────────────────


async def _delete_product_form(visit: Visit) -> ActForm:
    product = await _product(visit)
    name = products.name_of(product)
    return ActForm(
        title=f"Delete {name}",
        verb="Delete the product",
        consequences=["`product.deleted` is published.", "Orders keep what they say of it."],
        back=_product_link(visit, product),
        back_word=name,
        is_danger=True,
    )


async def _delete_product_call(visit: Visit, _: SentFields) -> ApiCall:
    product = await _product(visit)
    return ApiCall("DELETE", f"/app/{product.scope}/product/{product.id}")


async def _product_deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The product is deleted.", visit.link(_PRODUCTS))


async def _customer(visit: Visit) -> Customer:
    return await record_of(visit, Customer, "customer")


def _customer_form(visit: Visit, customer: Customer, verb: str, consequences: list[str]) -> ActForm:
    name = customers.name_of(customer)
    app_name = visit.names_of(customer.scope)[0]
    return ActForm(
        title=f"{verb} {name}",
        verb=f"{verb} the customer",
        consequences=consequences,
        back=visit.link(f"{_CUSTOMERS}/{customer.id}", app=app_name),
        back_word=name,
        is_danger=True,
    )


async def _delete_customer_form(visit: Visit) -> ActForm:
    consequences = [
        "`customer.deleted` is published, with what was known of them.",
        "Their orders stay as they are.",
    ]
    return _customer_form(visit, await _customer(visit), "Delete", consequences)


async def _delete_customer_call(visit: Visit, _: SentFields) -> ApiCall:
    customer = await _customer(visit)
    return ApiCall("DELETE", f"/app/{customer.scope}/customer/{customer.id}")


async def _customer_deleted(visit: Visit, _: ApiCall, __: ApiAnswer) -> ActResult:
    return ActResult("The customer is deleted.", visit.link(_CUSTOMERS))


async def _erase_form(visit: Visit) -> ActForm:
    consequences = [
        "They are taken out of all that names them: orders, subscriptions, transactions, e-mails.",
        "Payloads, answers to attempts and requests of providers that name them are deleted.",
        "The audit log reads `(erased)` where it names them, and still proves itself.",
        "Amounts and statuses stay, without the person. `customer.deleted` tells the id alone.",
        "It cannot be undone.",
    ]
    return _customer_form(visit, await _customer(visit), "Erase", consequences)


async def _erase_call(visit: Visit, _: SentFields) -> ApiCall:
    customer = await _customer(visit)
    return ApiCall("POST", f"/app/{customer.scope}/customer/{customer.id}/erase")


async def _erasing(visit: Visit, _: ApiCall, answer: ApiAnswer) -> ActResult:
    return ActResult("They are being erased.", visit.link(f"/jobs/{answer.doc['id']}"))


PAGES = act_pages(
    (
        ActPage(
            "/products/{product}/webhook",
            _PRODUCTS,
            "product-webhook.upsert",
            _webhook_form,
            _webhook_call,
            _webhook_saved,
        ),
        ActPage(
            "/products/{product}/webhook/remove",
            _PRODUCTS,
            "product-webhook.delete",
            _removal_form,
            _removal_call,
            _removed,
        ),
        ActPage(
            "/product-webhook",
            _PRODUCTS,
            "default-product-webhook.upsert",
            _default_form,
            _default_call,
            _default_saved,
        ),
        ActPage(
            "/products/{product}/delete",
            _PRODUCTS,
            "product.delete",
            _delete_product_form,
            _delete_product_call,
            _product_deleted,
        ),
        ActPage(
            "/customers/{customer}/delete",
            _CUSTOMERS,
            "customer.delete",
            _delete_customer_form,
            _delete_customer_call,
            _customer_deleted,
        ),
        ActPage(
            "/customers/{customer}/erase",
            _CUSTOMERS,
            "customer.erase",
            _erase_form,
            _erase_call,
            _erasing,
        ),
    )
)
