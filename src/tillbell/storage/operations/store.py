"""The methods of a store: which operation does each. The ports say what it promises."""

from __future__ import annotations

from tillbell.storage.operations import (
    audit_log,
    callback_reads,
    callbacks,
    claims,
    decisions,
    erasure,
    filtered_reads,
    idempotency,
    inboxes,
    message_reads,
    messages,
    overview_reads,
    people,
    probe,
    records,
    retention,
    shop_reads,
    statistics,
)


class OutboundMethods(claims.ClaimMethods):
    """`OutboundStore`; two methods are in `ClaimMethods`."""

    publish = messages.publish
    finish_attempt = claims.finish_attempt
    renew = claims.renew
    release = claims.release
    release_all_leases = claims.release_all_leases
    resend = claims.resend
    cancel = claims.cancel
    discard = claims.discard
    add_deliveries = messages.add_deliveries
    expunge = messages.expunge
    expunge_attempt = messages.expunge_attempt
    purge = retention.purge
    purge_audit = audit_log.purge_audit
    store_idempotent_answer = idempotency.store_idempotent_answer
    idempotent_answer = idempotency.idempotent_answer


class OutboundListMethods:
    """`OutboundLists`."""

    messages = message_reads.messages
    deliveries_of_endpoint = message_reads.deliveries_of_endpoint
    attempts = message_reads.attempts
    totals = message_reads.totals
    totals_of = message_reads.totals_of
    attempt_ends = message_reads.attempt_ends


class OutboundReadMethods(OutboundListMethods):
    """`OutboundReads`."""

    due_lanes = message_reads.due_lanes
    message = message_reads.message
    body = message_reads.body
    delivery = message_reads.delivery
    deliveries_of_message = message_reads.deliveries_of_message
    message_contents = message_reads.message_contents
    delivery_facts = message_reads.delivery_facts
    ended_attempts = message_reads.ended_attempts
    attempt = message_reads.attempt
    select = message_reads.select
    missing_messages = message_reads.missing_messages
    counts = message_reads.counts


class RegistryMethods:
    """`Registry`."""

    put = records.put
    get = records.get
    get_many = records.get_many
    list = records.list_
    ids_named = records.ids_named
    failing_endpoints = records.failing_endpoints
    shop_records = shop_reads.shop_records
    shop_records_with = shop_reads.shop_records_with
    paid_orders = shop_reads.paid_orders
    order_sums = shop_reads.order_sums
    remove = records.remove


class InboundMethods:
    """`InboundStore`."""

    receive = callbacks.receive
    commit_changes = decisions.commit_changes
    reopen_callback = callbacks.reopen_callback
    replace_requests = callbacks.replace_requests
    expunge_callback = callbacks.expunge_callback
    purge_inbound = retention.purge_inbound


class InboundListMethods:
    """`InboundLists`."""

    callbacks = callback_reads.callbacks
    repeats = callback_reads.repeats
    transactions = callback_reads.transactions
    conflicts = callback_reads.conflicts
    audit = callback_reads.audit


class InboundReadMethods(InboundListMethods):
    """`InboundReads`."""

    callback = callback_reads.callback
    callback_request = callback_reads.callback_request
    sealed_requests = callback_reads.sealed_requests
    unprocessed_callbacks = callback_reads.unprocessed_callbacks
    callbacks_awaiting = callback_reads.callbacks_awaiting
    callbacks_to_retry = callback_reads.callbacks_to_retry
    new_item_keys = callback_reads.new_item_keys
    transaction = callback_reads.transaction
    candidate_transactions = callback_reads.candidate_transactions
    linked_transactions = callback_reads.linked_transactions
    transactions_to_check = callback_reads.transactions_to_check
    transitions = callback_reads.transitions
    effects = callback_reads.effects
    conflict = callback_reads.conflict


class OverviewMethods:
    """`OverviewLists`."""

    attention = overview_reads.attention
    deliveries = overview_reads.deliveries
    all_callbacks = overview_reads.all_callbacks
    refused_by_source = overview_reads.refused_by_source
    all_transactions = overview_reads.all_transactions
    find_transactions = overview_reads.find_transactions
    all_conflicts = overview_reads.all_conflicts
    audit_bounds = audit_log.audit_bounds
    audit_rows = audit_log.audit_rows


class PeopleMethods:
    """`PeopleStore`."""

    all_people = people.all_people
    person = people.person
    person_of_email = people.person_of_email
    person_of_identity = people.person_of_identity
    session = people.session
    sessions_of = people.sessions_of
    is_known_address = people.is_known_address
    one_time_link = people.one_time_link
    add_link = people.add_link
    add_first_person = people.add_first_person
    add_person = people.add_person
    accept_invitation = people.accept_invitation
    sign_on = people.sign_on
    change_person = people.change_person
    remove_person = people.remove_person
    add_session = people.add_session
    add_session_by_code = people.add_session_by_code
    set_password = people.set_password
    sign_in_by_link = people.sign_in_by_link
    note_session_use = people.note_session_use
    revoke_session = people.revoke_session
    revoke_sessions_of = people.revoke_sessions_of
    add_audit_entries = people.add_audit_entries
    purge_people = people.purge_people


class StatisticsMethods:
    """`StatisticsStore`."""

    rollups = statistics.rollups
    rollups_by_subject = statistics.rollups_by_subject
    markers = statistics.markers
    count = statistics.count
    add_marker = statistics.add_marker
    rollup_progress = statistics.rollup_progress
    next_rollup_minute = statistics.next_rollup_minute
    hour_sums = statistics.hour_sums
    continued_sums = statistics.continued_sums
    store_hours = statistics.store_hours
    advance_rollups = statistics.advance_rollups
    purge_statistics = statistics.purge_statistics


class FilteredMethods:
    """`FilteredLists`."""

    filtered_messages = filtered_reads.filtered_messages
    filtered_deliveries = filtered_reads.filtered_deliveries
    filtered_attempts = filtered_reads.filtered_attempts
    filtered_callbacks = filtered_reads.filtered_callbacks
    filtered_transactions = filtered_reads.filtered_transactions
    filtered_conflicts = filtered_reads.filtered_conflicts
    filtered_audit = filtered_reads.filtered_audit


class InboxMethods:
    """`InboxStore`."""

    add_inbox_request = inboxes.add_inbox_request
    inbox_requests = inboxes.inbox_requests
    inbox_request = inboxes.inbox_request
    inbox_totals = inboxes.inbox_totals
    clear_inbox = inboxes.clear_inbox
    delete_inbox_request = inboxes.delete_inbox_request
    sealed_inbox_requests = inboxes.sealed_inbox_requests
    replace_inbox_requests = inboxes.replace_inbox_requests
    purge_inboxes = inboxes.purge_inboxes


class ErasureMethods:
    """`ErasureStore`."""

    erase_money_texts = erasure.erase_money_texts
    erase_callback_texts = erasure.erase_callback_texts
    erase_message_labels = erasure.erase_message_labels
    redact_acts = erasure.redact_acts


class StoreMethods(
    OutboundMethods,
    OutboundReadMethods,
    RegistryMethods,
    InboundMethods,
    InboundReadMethods,
    OverviewMethods,
    PeopleMethods,
    StatisticsMethods,
    FilteredMethods,
    InboxMethods,
    ErasureMethods,
    probe.ProbeMethods,
):
    """All that is the same for every database."""

    size = probe.size


class ListMethods(OutboundListMethods, InboundListMethods, OverviewMethods, FilteredMethods):
    """`HistoryReads`."""
