"""A plain hash of fields and the secret, as Payten MSU, Neosurf and Trust Payments send it.

Nothing parts the values for certain, so the hash proves less than a signature.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tillbell.model.sources import Trust
from tillbell.providers.custom.check import CheckContext, Problem, SecretCheck
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.locations import RequestContent, as_signed, place, place_problem
from tillbell.providers.custom.signature import DECODERS, ENCODERS, Output
from tillbell.providers.custom.template import TemplateValues, template, template_problem
from tillbell.providers.kit.base import Unreadable, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    digest,
    is_one_of,
    key_bytes,
    verify_with_secrets,
)

Side = Literal["end", "start"]


class FieldHash(SecretCheck, frozen=True, kw_only=True, tag="field_hash"):
    """A hash of a template with the secret in it, or of all values sorted by name."""

    proves: ClassVar[Trust] = Trust.PARTIALLY_SIGNED
    at: str
    algorithm: Literal["sha256", "sha512", "sha384", "sha1", "md5"] = "sha256"
    template: str | None = None
    separator: str = ""  # between sorted values
    excluded: tuple[str, ...] = ()  # names of fields that are not hashed
    omit_blanks: bool = False
    secret_at: Side = "end"  # noqa: S105 - a side, not a secret
    output: Output = "hex"

    def problem(self) -> Problem | None:
        """Say whether the place or the template is wrong."""
        if wrong := place_problem(self.at):
            return "at", wrong
        if self.template is None:
            return None
        if wrong := template_problem(self.template):
            return "template", wrong
        if not template(self.template).uses("secret"):
            return "template", "holds no {secret}, so anybody could compute the hash"
        if template(self.template).uses("timestamp"):
            return "template", "may not hold {timestamp}; name its field: {field:/time}"
        return None

    def verify(self, context: CheckContext) -> Verdict:
        """Compare the hash with that of each secret. Raises `Ambiguous` and `Unreadable`."""
        secrets = context.secrets(self.secret)
        if not any(secrets):
            return NO_SECRET
        claimed = DECODERS[self.output](context.content.raw(place(self.at)))
        if not claimed:
            return Verdict(None, f"There is no {self.output} at {self.at}.")
        return verify_with_secrets(
            secrets,
            lambda secret: is_one_of([claimed], [self._hash(context.content, secret)]),
            f"The hash at {self.at}",
            self.proves,
        )

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """Write the hash of the request as it is so far."""
        computed = self._hash(draft.content, draft.secret(self.secret))
        return draft.put(place(self.at), ENCODERS[self.output](computed))

    def _hash(self, content: RequestContent, secret: str) -> bytes:
        if self.template is not None:
            message = template(self.template).render(TemplateValues(content, secret))
            return digest(self.algorithm, message)
        values = self._sorted_values(content)
        is_first = self.secret_at == "start"  # noqa: S105 - a side, not a secret
        joined = [secret, *values] if is_first else [*values, secret]
        return digest(self.algorithm, key_bytes(self.separator.join(joined)))

    def _sorted_values(self, content: RequestContent) -> list[str]:
        """Return the values ordered by name (ASCII), without the hash and what is left out."""
        document = content.document
        if not isinstance(document, dict):
            raise Unreadable("The body has no named fields.")
        hash_name = self.at.removeprefix("/")
        names = sorted(name for name in document if name != hash_name and name not in self.excluded)
        if any(isinstance(document[name], dict | list) for name in names):
            raise Unreadable("A hashed field is nested.")
        values = [as_signed(document[name]) for name in names]
        return [value for value in values if value] if self.omit_blanks else values
