"""What names a person is found however it is written, and a namesake is left alone."""

from __future__ import annotations

from tillbell.rules.traces import Traces

ADA = Traces(
    frozenset({"cus-ada-1", "7"}),
    frozenset({"ada@example.com", "381641234711"}),
    frozenset({"ada lovelace"}),
)
NAMED = {
    "an address in capitals": b'{"to": "ADA@Example.com"}',
    "an address in escapes": b'{"to": "\\u0061da@example.com"}',
    "an address in a form": b"payer=ada%40example.com&x=1",
    "a number within a text": b"call +381641234711 now",
    "an id": b'{"customer": "cus-ada-1"}',
    "a short id as an id": b'{"userId": "7"}',
    "a number as an id": b'{"customer_id": 7}',
    "an id that is a name of a member": b'{"cus-ada-1": 5}',
    "an id in a form": b"customer=cus-ada-1",
    "a name": b'{"note": "for Ada Lovelace"}',
    "a name in a form": b"name=Ada+Lovelace",
    "a name with the address": b'{"name": "Ada Lovelace", "email": "ada@example.com"}',
}
OTHERS = {
    "a namesake": b'{"name": "Ada Lovelace", "email": "other@example.com"}',
    "a namesake in a form": b"name=Ada+Lovelace&email=other%40example.com",
    "a number that is no id": b'{"quantity": "7"}',
    "half a name": b'{"name": "Ada"}',
    "a longer id": b'{"customer": "cus-ada-12"}',
    "nothing": b"",
}


def test_what_names_the_person_is_found() -> None:
    assert [name for name, body in NAMED.items() if not ADA.found_in(body)] == []
    assert [name for name, body in OTHERS.items() if ADA.found_in(body)] == []


def test_a_value_reads_erased_where_it_names_the_person() -> None:
    value = {
        "filter": [None, "email:ADA@example.com"],
        "customer_id": "7",
        "rate": ["5", "7"],
        "ada@example.com": 1,
        "note": "for Ada Lovelace, not bob@example.com",
        "about": ["cus-ada-1", {"name": "Ada Lovelace"}],
    }
    assert ADA.without(value) == {
        "filter": [None, "(erased)"],
        "customer_id": "(erased)",
        "rate": ["5", "7"],
        "(erased)": 1,
        "note": "for Ada Lovelace, not bob@example.com",
        "about": ["(erased)", {"name": "(erased)"}],
    }
