"""Checks of a source: its provider, settings and secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tillbell.errors import Problem
from tillbell.providers.kit.base import ConfigProblem, Provider, ProviderSetting
from tillbell.providers.kit.networks import NETWORKS
from tillbell.receive.source_cache import ALLOWED_NETWORKS, settings_of

CONFIG_BYTES_MAX = 65_536
NETWORKS_MAX = 200
_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 addresses in the notation of IPv6
_STEP = re.compile(r"[^.\[\]]+")

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "url": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "object": (dict,),
    "array": (list,),
}


def check_provider(name: str, providers: Mapping[str, Provider]) -> list[Problem]:
    """Return a problem if the provider is unknown, with a near miss as a hint."""
    if name in providers:
        return []
    text = f"unknown provider{_nearest(name, providers)}; GET /api/v1/provider lists all"
    return [Problem(("body", "provider"), text, "provider")]


def check_secrets(provider: Provider, texts: Sequence[str], *where: str | int) -> list[Problem]:
    """Return the problems of a source's secrets, without quoting them."""
    rule = provider.secret
    if rule is None:
        text = f"{provider.title} has no secret; leave this out"
        return [Problem(("body", *where), text, "secret")] if texts else []
    if rule.is_required and not texts:
        return [Problem(("body", *where), f"is needed: {rule.about}", "missing")]
    problems = []
    for number, text in enumerate(texts):
        problem = "is empty" if not text.strip() else rule.problem(text)
        if problem is not None:
            at = (*where, number) if where == ("secrets",) else where
            message = f"{problem}. Where it is: {rule.about}"
            problems.append(Problem(("body", *at), message, "secret"))
    return problems


def check_config(provider: Provider, config: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of a source's settings."""
    if len(msgspec.json.encode(config)) > CONFIG_BYTES_MAX:
        return [Problem(("body", "config"), f"at most {CONFIG_BYTES_MAX} bytes", "too_long")]
    known = {setting.name: setting for setting in settings_of(provider)}
    problems = [*_unknown(config, known), *_missing(config, known), *_invalid(config, known)]
    for name in (ALLOWED_NETWORKS.name, NETWORKS.name):
        problems = problems or _network_problems(name, config.get(name))
    return problems or [_declared(problem) for problem in provider.config_problems(config)]


def _declared(problem: ConfigProblem) -> Problem:
    """Return an adapter's problem with its path as steps: `checks[0].at` → checks, 0, at."""
    steps = [int(step) if step.isdigit() else step for step in _STEP.findall(problem.member)]
    return Problem(("body", "config", *steps), problem.text, "setting")


def _unknown(config: Mapping[str, Any], known: Mapping[str, ProviderSetting]) -> Iterator[Problem]:
    for name in config:
        if name not in known:
            text = f"unknown setting{_nearest(name, known)}"
            yield Problem(("body", "config", name), text, "unknown_setting")


def _missing(config: Mapping[str, Any], known: Mapping[str, ProviderSetting]) -> Iterator[Problem]:
    for setting in known.values():
        if setting.is_required and config.get(setting.name) in (None, ""):
            text = f"is needed: {setting.about}"
            yield Problem(("body", "config", setting.name), text, "missing")


def _invalid(config: Mapping[str, Any], known: Mapping[str, ProviderSetting]) -> Iterator[Problem]:
    for name, value in config.items():
        text = _value_problem(known[name], value) if name in known else None
        if text is not None:
            yield Problem(("body", "config", name), text, "setting")


def _value_problem(setting: ProviderSetting, value: Any) -> str | None:
    types = _TYPES[setting.type]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return f"must be of type {setting.type}"
    if isinstance(value, int) and not _is_within(setting, value):
        return f"must be {setting.minimum} to {setting.maximum}"
    if setting.choices and value not in setting.choices:
        return f"must be one of {', '.join(setting.choices)}"
    if setting.type == "url" and not _is_web_address(value):
        return "must be an http or https address"
    return None


def _is_within(setting: ProviderSetting, value: int) -> bool:
    is_low = setting.minimum is not None and value < setting.minimum
    is_high = setting.maximum is not None and value > setting.maximum
    return not is_low and not is_high


def _network_problems(name: str, networks: list[Any] | None) -> list[Problem]:
    """Return what is wrong with the networks that callbacks may come from; None: not limited."""
    if networks is None:
        return []
    where = ("body", "config", name)
    if not 0 < len(networks) <= NETWORKS_MAX:
        text = f"must be 1 to {NETWORKS_MAX} addresses or networks; null removes the list"
        return [Problem(where, text, "setting")]
    return [
        Problem((*where, number), problem, "setting")
        for number, network in enumerate(networks)
        if (problem := _network_problem(network)) is not None
    ]


def _network_problem(network: Any) -> str | None:
    try:
        # A number would be read as an address too, and a list as address and mask.
        known = ip_network(network, strict=False) if isinstance(network, str) else None
    except ValueError:
        known = None
    if known is None:
        return "is no address or network, like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
    if isinstance(known, IPv6Network) and known.subnet_of(_MAPPED):
        return "is an IPv4 address in the notation of IPv6; write it as IPv4"
    return None


def _is_web_address(value: Any) -> bool:
    text = str(value)
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _nearest(name: str, known: Mapping[str, object]) -> str:
    by_fold = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_fold, n=1, cutoff=0.5)
    return f"; did you mean {by_fold[near[0]]}?" if near else ""
