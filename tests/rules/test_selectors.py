"""Selectors match what their writer meant, in any platform's spelling, and refuse slips."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import each

from tillbell.catalog import KNOWN
from tillbell.rules.delivery.selectors import (
    EVENT_TYPE_MAX,
    LABEL_MAX,
    SELECTORS_MAX,
    canonical,
    check,
    check_event_type,
    check_label,
    check_labels,
    compile_filter,
    expand,
    may_be_spelling,
    names,
    spelled,
)

ORDERS = tuple(sorted(name for name in KNOWN if name.startswith("order.")))
known_types = st.sampled_from(sorted(KNOWN))
texts = st.text(string.ascii_letters + string.digits + "._:/-*ı\n", max_size=20)


@each(
    ("written", "ours"),
    [
        ("order.paid", "order.paid"),
        ("order:paid", "order.paid"),
        ("order_paid", "order.paid"),
        ("ORDER_PAID", "order.paid"),
        ("order_partially_refunded", "order.partially_refunded"),
        ("transaction:on_hold", "transaction.on_hold"),
        ("subscription:trial:started", "subscription.trial.started"),
        ("Order:*", "order.*"),
        ("order_*", "order.*"),
        ("subscription:trial:*", "subscription.trial.*"),
        ("*", "*"),
    ],
)
def test_every_platforms_spelling_means_our_type(written: str, ours: str) -> None:
    assert canonical(written) == ours


@each(
    ("written", "ours"),
    [
        ("invoice.paid", "order.paid"),
        ("INVOICE_PAID", "order.paid"),
        ("order:paid:product", "order.paid"),
        ("order:cancelled:product", "order.cancelled"),
        ("invoice.*", "order.*"),
    ],
)
def test_only_a_platforms_profile_understands_its_names(written: str, ours: str) -> None:
    assert canonical(written, platform=True) == ours
    assert canonical(written) == written


@pytest.mark.parametrize("own", ["user_signed_up", "user.signed_up", "Team:Joined", "crm_*", "a/b"])
def test_an_applications_own_type_keeps_its_spelling(own: str) -> None:
    assert canonical(own) == own


@given(known_types)
def test_a_known_type_is_its_own_canonical_form_however_it_is_written(name: str) -> None:
    assert canonical(name) == name
    assert canonical(name.upper()) == name
    assert canonical(name.replace(".", ":")) == name
    assert canonical(name.replace(".", "_")) == name


@given(texts)
def test_canonical_of_canonical_changes_nothing(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_profiles_can_see_who_asked_for_products() -> None:
    asked = names(["invoice.*", "order:paid", "order_paid_product"])

    assert asked == {"order.*", "order.paid", "order.paid.product"}
    assert spelled("order:refunded:product", platform=True) == "order:refunded:product"


@pytest.mark.parametrize("family", ["order.*", "order:*", "ORDER.*"])
def test_a_family_takes_all_its_types(family: str) -> None:
    assert expand(family, KNOWN) == ORDERS
    assert expand("invoice.*", KNOWN, platform=True) == ORDERS


def test_a_wildcard_includes_later_types_and_not_its_neighbours() -> None:
    wanted = compile_filter(["order.*"], None)

    assert wanted.wants("order.insured", ())
    assert not wanted.wants("orders.insured", ())
    assert not wanted.wants("order", ())


def test_own_types_match_letter_by_letter() -> None:
    wanted = compile_filter(["user_signed_up", "Team:*"], None)

    assert wanted.wants("user_signed_up", ())
    assert not wanted.wants("user.signed.up", ())
    assert wanted.wants("Team:Joined", ())
    assert not wanted.wants("team:joined", ())


def test_an_alias_does_not_take_an_applications_own_types_elsewhere() -> None:
    """Who asked for orders must not be sent an application's own `invoice.finalized`."""
    assert compile_filter(["invoice.*"], None, platform=True).wants("invoice.finalized", ())
    assert not compile_filter(["order.*"], None, platform=True).wants("invoice.finalized", ())


@each(
    ("own", "selector", "neighbour"),
    [
        ("invoice.paid", "invoice.paid", "order.paid"),
        ("invoice.sent", "invoice.*", "order.paid"),
        ("ORDER.PAID", "ORDER.PAID", "order.paid"),
        ("order_paid", "order_paid", "order.paid"),
        ("Order:packed", "Order:*", "order.created"),
        ("order:paid:product", "order:paid:product", "order.paid"),
    ],
)
@pytest.mark.parametrize("platform", [False, True])
def test_the_name_of_a_type_means_that_type_and_no_other(
    own: str,
    selector: str,
    neighbour: str,
    platform: bool,
) -> None:
    wanted = compile_filter([selector], None, known=KNOWN | {own}, platform=platform)

    assert wanted.wants(own, ())
    assert not wanted.wants(neighbour, ())
    assert may_be_spelling(own)


def test_types_that_take_nothing_from_the_catalogue_are_no_spellings() -> None:
    assert not any(map(may_be_spelling, (*KNOWN, "user_signed_up", "crm.lead", "shop/x:y")))


@given(known_types | texts)
def test_no_selectors_and_the_star_take_everything(event_type: str) -> None:
    assert compile_filter(None, None).wants(event_type, ())
    assert compile_filter(["order.paid", "*"], None).wants(event_type, ("a",))


@given(st.lists(known_types | texts, max_size=5), known_types)
def test_a_filter_agrees_with_its_expansion(selectors: list[str], event_type: str) -> None:
    expanded = {name for selector in selectors for name in expand(selector, KNOWN)}

    assert compile_filter(selectors, None).wants(event_type, ()) == (event_type in expanded)


@each(
    ("endpoint", "message", "expected"),
    [
        (None, (), True),
        (None, ("a",), True),
        (("a", "b"), ("b", "c"), True),
        (("a",), ("b",), False),
        (("a",), (), False),
        (("a",), ("A",), False),
    ],
)
def test_channels_narrow_what_an_endpoint_takes(
    endpoint: tuple[str, ...] | None, message: tuple[str, ...], expected: bool
) -> None:
    assert compile_filter(["*"], endpoint).wants("order.paid", message) is expected


@each(
    ("slip", "meant"),
    [
        ("order.payed", "order.paid"),
        ("order.canceled", "order.cancelled"),
        ("ordr.*", "order.*"),
        ("order", "order.*"),
        ("invoice", "order.*"),
        ("subscripton:created", "subscription.created"),
        ("user.signed_up", "user_signed_up"),
    ],
)
def test_a_selector_that_matches_nothing_is_refused_with_what_was_meant(
    slip: str, meant: str
) -> None:
    [problem] = check(["order.paid", slip], KNOWN | {"user_signed_up"})

    assert problem.loc == ("body", "filterTypes", 1)
    assert f"did you mean `{meant}`?" in problem.msg
    assert "POST /api/v1/event-type" in problem.msg


@each("wrong", ["order*", "*.paid", "or*er.paid", "**", "order.**", "order.*.*"])
def test_a_star_in_the_wrong_place_is_refused(wrong: str) -> None:
    [problem] = check([wrong], KNOWN)

    assert "stands alone or at the end" in problem.msg


def test_good_selectors_have_no_problems() -> None:
    own = {"user_signed_up", "team:joined"}

    assert check(["*", "order_paid", "user_signed_up", "team:*"], KNOWN | own) == []
    assert check(["invoice.*"], KNOWN | own, platform=True) == []


@pytest.mark.parametrize("count", [0, SELECTORS_MAX + 1])
def test_a_list_of_selectors_has_a_length(count: int) -> None:
    [problem] = check(["*"] * count, KNOWN)

    assert problem.type == "selectors_length"


@given(st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_any_text_is_judged_without_a_crash(selectors: list[str]) -> None:
    for problem in check(selectors, KNOWN):
        assert not expand(selectors[int(problem.loc[2])], KNOWN)


@pytest.mark.parametrize("name", ["order.paid", "user_signed_up", "a", "Team/x:y-1", "x" * 256])
def test_an_event_type_may_be_named_like_this(name: str) -> None:
    assert check_event_type(name) is None


@each("name", ["", "order paid", "order.*", "order.paid\n", "ордер", "a" * 257])
def test_an_event_type_may_not_be_named_like_this(name: str) -> None:
    assert check_event_type(name)


def test_a_label_is_short_and_plain() -> None:
    assert check_label("product:507f1f77bcf86cd799439011") is None
    assert check_label("x" * LABEL_MAX) is None
    assert check_label("x" * (LABEL_MAX + 1))
    assert check_label("a/b")
    assert LABEL_MAX < EVENT_TYPE_MAX


def test_wrong_labels_are_named_by_their_place() -> None:
    [problem] = check_labels(["fine", "not fine"], ("body", "channels"), at_most=5)

    assert problem.loc == ("body", "channels", 1)


@pytest.mark.parametrize("count", [0, 6])
def test_a_list_of_labels_has_a_length(count: int) -> None:
    assert check_labels(["a"] * count, ("body", "tags"), at_most=5)
