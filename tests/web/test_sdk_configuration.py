"""The official Python SDK, unmodified: applications, event types, endpoints."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook
from svix.api import (
    ApplicationIn,
    ApplicationListOptions,
    ApplicationPatch,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointListOptions,
    EndpointPatch,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
    EventExampleIn,
    EventTypeImportOpenApiIn,
    EventTypeIn,
    EventTypeListOptions,
    EventTypePatch,
    EventTypeUpsertIn,
    MessageIn,
    Svix,
)
from svix.api.application import ApplicationCreateOptions
from svix.api.event_type import EventTypeDeleteOptions
from svix.exceptions import HttpError, HTTPValidationError
from svix.models import (
    Ordering,
)

from tests.web.sdk import PAYLOAD, listening, order
from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first

# ── applications ─────────────────────────────────────────────────────────────────────────────────


def test_an_application_is_made_shown_changed_and_deleted(svix: Svix) -> None:
    made = svix.application.create(
        ApplicationIn(name="A", uid="life", throttle_rate=7, metadata={"plan": "pro"})
    )
    assert svix.application.get("life") == svix.application.get(made.id) == made
    assert (made.throttle_rate, made.metadata) == (7, {"plan": "pro"})

    patched = svix.application.patch("life", ApplicationPatch(name="B"))
    assert (patched.name, patched.throttle_rate, patched.uid) == ("B", 7, "life")
    replaced = svix.application.upsert("life", ApplicationIn(name="C"))
    assert (replaced.id, replaced.name, replaced.throttle_rate) == (made.id, "C", None)
    assert replaced.created_at == made.created_at

    svix.application.delete("life")
    with pytest.raises(HttpError) as refusal:
        svix.application.get("life")
    assert (refusal.value.status_code, refusal.value.code) == (404, "not_found")


def test_get_or_create_makes_one_application_only(svix: Svix) -> None:
    first = svix.application.get_or_create(ApplicationIn(name="A", uid="once"))
    second = svix.application.get_or_create(ApplicationIn(name="other", uid="once"))
    assert first == second


def test_a_uid_is_taken_once(svix: Svix) -> None:
    svix.application.create(ApplicationIn(name="A", uid="taken"))
    with pytest.raises(HttpError) as refusal:
        svix.application.create(ApplicationIn(name="B", uid="taken"))
    assert refusal.value.status_code == 409


def test_a_put_makes_what_is_not_there(svix: Svix) -> None:
    assert svix.application.upsert("by-put", ApplicationIn(name="A")).uid == "by-put"


def test_a_wrong_body_is_told_where(svix: Svix) -> None:
    with pytest.raises(HTTPValidationError) as refusal:
        svix.application.create(ApplicationIn(name="", uid="no blanks"))
    wrong = {tuple(one.loc): one.msg for one in refusal.value.detail}
    assert set(wrong) == {("body", "name"), ("body", "uid")}


def test_the_same_idempotency_key_makes_one_application(svix: Svix) -> None:
    options = ApplicationCreateOptions(idempotency_key="make-a-shop")
    first = svix.application.create(ApplicationIn(name="A"), options)
    assert svix.application.create(ApplicationIn(name="A"), options) == first
    with pytest.raises(HttpError) as refusal:
        svix.application.create(ApplicationIn(name="B"), options)
    assert (refusal.value.status_code, refusal.value.code) == (409, "idempotency_key_reused")


def test_a_list_is_walked_forth_and_back(served: ServedGateway, app_id: str) -> None:
    made = [listening(served, app_id) for _ in range(7)]
    svix = served.svix

    def page(iterator: str | None, order: Ordering | None = None) -> tuple[list[str], object]:
        options = EndpointListOptions(limit=3, iterator=iterator, order=order)
        found = svix.endpoint.list(app_id, options)
        return [endpoint.id for endpoint in found.data], found

    newest_first = made[::-1]
    first, shown = page(None)
    assert (first, shown.done) == (newest_first[:3], False)  # type: ignore[attr-defined]
    second, shown = page(shown.iterator)  # type: ignore[attr-defined]
    assert second == newest_first[3:6]
    back, _ = page(shown.prev_iterator)  # type: ignore[attr-defined]
    assert back == first
    last, shown = page(shown.iterator)  # type: ignore[attr-defined]
    assert (last, shown.done) == (newest_first[6:], True)  # type: ignore[attr-defined]
    assert page(None, Ordering.ASCENDING)[0] == made[:3]


def test_applications_without_endpoints_may_be_left_out(served: ServedGateway, app_id: str) -> None:
    listening(served, app_id)
    empty = served.svix.application.create(ApplicationIn(name="empty"))
    options = ApplicationListOptions(exclude_apps_with_no_endpoints=True, limit=250)
    ids = {one.id for one in served.svix.application.list(options).data}
    assert app_id in ids
    assert empty.id not in ids


# ── event types ──────────────────────────────────────────────────────────────────────────────────


def test_an_event_type_is_registered_changed_archived_and_expunged(svix: Svix) -> None:
    schema = {"1": {"type": "object", "required": ["id"]}}
    svix.event_type.create(EventTypeIn(name="user.made", description="d", schemas=schema))
    assert svix.event_type.get("user.made").schemas == schema
    assert svix.event_type.patch("user.made", EventTypePatch(description="e")).description == "e"
    again = svix.event_type.upsert("user.made", EventTypeUpsertIn(description="f"))
    assert again.schemas is None

    svix.event_type.delete("user.made")
    shown = {one.name for one in svix.event_type.list().data}
    options = EventTypeListOptions(include_archived=True)
    assert "user.made" not in shown
    assert "user.made" in {one.name for one in svix.event_type.list(options).data}
    assert not svix.event_type.create(EventTypeIn(name="user.made", description="g")).archived
    svix.event_type.delete("user.made", EventTypeDeleteOptions(expunge=True))
    with pytest.raises(HttpError):
        svix.event_type.get("user.made")


_DOCUMENT = """
openapi: 3.1.0
info: {title: Till, version: 1}
webhooks:
  import.made:
    post:
      description: A thing was made.
      x-svix-group-name: things
      x-svix-feature-flags: [beta]
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Thing'}
            example: {id: 1}
  ThingLost:
    $ref: '#/components/pathItems/lost'
components:
  pathItems:
    lost:
      post: {x-svix-event-type: import.lost, summary: It is lost., deprecated: true}
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: integer}
        parts: {type: array, items: {$ref: '#/components/schemas/Thing'}}
"""


def test_event_types_are_imported_from_an_openapi_document(
    served: ServedGateway, app_id: str
) -> None:
    svix = served.svix
    svix.event_type.create(EventTypeIn(name="import.old", description="o"))
    svix.event_type.create(
        EventTypeIn(name="import.lost", description="kept", feature_flags=["alpha"], archived=True)
    )
    plan = EventTypeImportOpenApiIn(spec_raw=_DOCUMENT, dry_run=True)
    shown = svix.event_type.import_openapi(plan).data
    assert shown.modified == []
    assert shown.to_modify is not None
    assert [one.name for one in shown.to_modify] == ["import.made", "import.lost"]
    with pytest.raises(HttpError):
        svix.event_type.get("import.made")

    done = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec_raw=_DOCUMENT)).data
    assert done.modified == ["import.made", "import.lost"]
    made, lost = svix.event_type.get("import.made"), svix.event_type.get("import.lost")
    assert (made.description, made.group_name) == ("A thing was made.", "things")
    assert (made.feature_flags, made.deprecated) == (["beta"], False)
    assert (lost.description, lost.deprecated, lost.archived) == ("It is lost.", True, False)
    assert lost.feature_flags == ["alpha"], "who may see it is not what the document left out"
    assert svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec_raw=_DOCUMENT)).data == (
        done.model_copy(update={"modified": []})
    )

    served.http.patch(f"/app/{app_id}", json={"checkSchemas": True})
    bad = MessageIn(event_type="import.made", payload={"id": 1, "parts": [{"id": "x"}]})
    with pytest.raises(HTTPValidationError) as refusal:
        svix.message.create(app_id, bad)
    assert refusal.value.detail[0].loc == ["body", "payload", "parts", "0", "id"]
    example = EventExampleIn(event_type="import.made")
    sent = svix.endpoint.send_example(app_id, listening(served, app_id), example)
    assert sent.payload == {"id": 1}


def test_what_is_exported_is_imported_again_and_replaces_all(served: ServedGateway) -> None:
    svix = served.svix
    schemas = {"9": {"type": "array"}, "10": {"type": "object"}}
    svix.event_type.create(EventTypeIn(name="export.a", description="a", schemas=schemas))
    exported = served.http.get("/event-type/export/openapi").json()
    body = exported["webhooks"]["export.a"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"type": "object"}
    svix.event_type.create(EventTypeIn(name="export.b", description="b"))
    replaced = served.http.post(
        "/event-type/import/openapi", json={"spec": exported, "replaceAll": True}
    ).json()["data"]
    assert (replaced["modified"], replaced["archived"]) == (["export.a"], ["export.b"])
    assert svix.event_type.get("export.b").archived
    assert served.http.get("/event-type/export/openapi").json() == exported
    entries = served.http.get("/audit?filter=action:event-type.update").json()["data"]
    assert [[*entry["changes"]] for entry in entries[:2]] == [["archived"], ["schemas"]]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "either `spec` or `specRaw`"),
        ({"spec": {}, "specRaw": ""}, 400, "either `spec` or `specRaw`"),
        ({"spec": {"openapi": "3.1.0"}}, 422, "has no `webhooks`"),
        ({"specRaw": "- a"}, 422, "must be an object"),
        ({"specRaw": "a: &x 1\nb: *x"}, 400, "alias"),
        ({"specRaw": "webhooks:\n  a: 1\n  a: 2"}, 400, "twice"),
        ({"specRaw": "!!python/object/apply:os.getcwd []"}, 400, "not YAML"),
        ({"specRaw": "[" * 80 + "]" * 80}, 400, "nests deeper"),
        ({"specRaw": "webhooks: {a: {get: {deprecated: .nan}}}", "dryRun": True}, 200, ""),
        ({"spec": {"webhooks": {"a": {"post": {"description": 1}}}}}, 422, "must be a text"),
        ({"spec": {"webhooks": {"new pet": {"post": {}}}}}, 422, "x-svix-event-type"),
        ({"spec": {"webhooks": {"a": {"$ref": "#/webhooks/a"}}}}, 422, "refers to itself"),
        ({"spec": {"webhooks": {"a": {"$ref": "http://x/y"}}}}, 422, "not in this document"),
        ({"spec": {"webhooks": {"catalog": {"post": {}}}}}, 422, "reserved"),
        (
            {"spec": {"webhooks": {"a": {"post": {}}, "b": {"post": {"x-svix-event-type": "a"}}}}},
            422,
            "another webhook",
        ),
    ],
)
def test_a_document_that_cannot_be_imported_says_why(
    served: ServedGateway, body: dict[str, object], status: int, message: str
) -> None:
    answer = served.http.post("/event-type/import/openapi", json=body)
    assert answer.status_code == status, answer.text
    assert message in answer.text


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────


def test_an_endpoint_is_made_shown_changed_and_deleted(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    made = svix.endpoint.create(
        app_id,
        EndpointIn(
            url=served.receiver.url("/ok"),
            uid="mine",
            description="till",
            event_types=["order.paid"],
            channels=["east"],
            throttle_rate=5,
            metadata={"a": "b"},
        ),
    )
    assert svix.endpoint.get(app_id, "mine") == made
    assert (made.event_types, made.channels, made.disabled) == (["order.paid"], ["east"], False)

    patched = svix.endpoint.patch(app_id, "mine", EndpointPatch(disabled=True, channels=None))
    assert (patched.disabled, patched.channels, patched.throttle_rate) == (True, None, 5)
    put = svix.endpoint.upsert(app_id, "mine", EndpointUpsertIn(url=made.url, uid="mine"))
    assert (put.id, put.event_types, put.metadata, put.throttle_rate) == (made.id, None, {}, None)

    svix.endpoint.delete(app_id, made.id)
    with pytest.raises(HttpError):
        svix.endpoint.get(app_id, made.id)


def test_a_selector_that_can_match_nothing_is_refused_with_advice(
    served: ServedGateway, app_id: str
) -> None:
    with pytest.raises(HTTPValidationError) as refusal:
        listening(served, app_id, event_types=["ordr.paid"])
    assert refusal.value.detail[0].loc == ["body", "eventTypes", "0"]
    assert "order.paid" in refusal.value.detail[0].msg


def test_after_a_rotation_both_secrets_verify(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    endpoint = listening(served, app_id, "/rotated")
    old = svix.endpoint.get_secret(app_id, endpoint).key
    new = svix.endpoint.rotate_secret(app_id, endpoint, EndpointSecretRotateIn()).key
    assert old != new
    assert svix.endpoint.get_secret(app_id, endpoint).key == new
    sent = svix.message.create(app_id, order())
    served.wait_for_attempts(sent.id)
    (arrival,) = served.receiver.to("/rotated")
    for secret in (old, new):
        assert Webhook(secret).verify(arrival.body, dict(arrival.headers)) == PAYLOAD


def test_without_grace_only_the_new_secret_verifies(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    endpoint = listening(served, app_id, "/at-once")
    chosen = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = EndpointSecretRotateIn(key=chosen, grace_period_seconds=0)
    assert svix.endpoint.rotate_secret(app_id, endpoint, body).key == chosen
    served.wait_for_attempts(svix.message.create(app_id, order()).id)
    (arrival,) = served.receiver.to("/at-once")
    signatures = arrival.header("webhook-signature")
    assert signatures is not None
    assert len(signatures.split(" ")) == 1
    Webhook(chosen).verify(arrival.body, dict(arrival.headers))


def test_custom_headers_are_sent_and_secret_ones_never_shown(
    served: ServedGateway, app_id: str
) -> None:
    svix = served.svix
    endpoint = listening(served, app_id, "/headed")
    headers = {"X-Shop": "7", "Authorization": "Bearer s3cr3t"}
    svix.endpoint.set_headers(app_id, endpoint, EndpointHeadersIn(headers=headers))
    shown = svix.endpoint.get_headers(app_id, endpoint)
    assert (shown.headers, shown.sensitive) == ({"X-Shop": "7"}, ["Authorization"])
    change = EndpointHeadersPatchIn(headers={"X-Till": "1"}, delete_headers=["x-shop"])
    svix.endpoint.patch_headers(app_id, endpoint, change)
    served.wait_for_attempts(svix.message.create(app_id, order()).id)
    (arrival,) = served.receiver.to("/headed")
    got = [arrival.header(name) for name in ("x-shop", "x-till", "authorization")]
    assert got == [None, "1", "Bearer s3cr3t"]
