"""Judges the answer of a receiver: each status and each failure has one result.

| answer | result | then |
| --- | --- | --- |
| 200–299 (or exactly 200, by the endpoint's success rule) | accepted | done |
| 410, and 404 of profiles `slack` and `discord` | gone | delivery fails, endpoint is disabled |
| 429, 502, 503, 504 | throttled | retry; `Retry-After` is a floor |
| everything else: a final 1xx, other 2xx under rule "200", 3xx, 4xx, 5xx | refused | retry |
| no answer in time (name look-up, connect, total deadline) | timed_out | retry |
| no connection, broken TLS, reset, not HTTP | unreachable | retry |
| address or URL we may not call | blocked | retry: the name may resolve to another address |
| a failure of ours (`OWN_FAILURES`) | interrupted | retry, at no cost to the receiver's record |

A redirect is a refusal: it is never followed. Source: Standard Webhooks 1.0.0.
"""

from __future__ import annotations

from tillbell.model.messages import Reply, Result

_THROTTLED = frozenset({429, 502, 503, 504})
_TIMED_OUT = frozenset({"timeout", "connect_timeout", "dns_timeout"})
_BLOCKED = frozenset({"blocked_url", "blocked_address", "blocked_header"})

# What is no fault of the receiver, and says nothing about it.
OWN_FAILURES = frozenset(
    {"overloaded", "internal_error", "payload_deleted", "template_failed", "unusable"}
)


def judge(reply: Reply, success: str, gone_statuses: frozenset[int] = frozenset({410})) -> Result:
    """Return the result of an attempt. `success` is the endpoint's rule, "2xx" or "200";
    `gone_statuses` are its profile's.
    """
    if reply.error:
        return _judge_failure(reply.error)
    if reply.status == 200 or (success == "2xx" and 200 <= reply.status <= 299):
        return Result.ACCEPTED
    if reply.status in gone_statuses:
        return Result.GONE
    return Result.THROTTLED if reply.status in _THROTTLED else Result.REFUSED


def _judge_failure(error: str) -> Result:
    if error in OWN_FAILURES:
        return Result.INTERRUPTED
    if error in _TIMED_OUT:
        return Result.TIMED_OUT
    return Result.BLOCKED if error in _BLOCKED else Result.UNREACHABLE
