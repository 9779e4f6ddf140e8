"""Whether GitHub signed a webhook body with one of our secrets."""

import hashlib
import hmac
import re
from collections.abc import Sequence

_FORM = re.compile(r"sha256=([0-9a-f]{64})", re.ASCII)


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> int | None:
    """The index in *secrets* of the one that signed *body*, or None.

    Only `sha256=` and 64 lower-case hex digits count, over the raw bytes; no SHA-1. All secrets are
    tried and compared in constant time; an empty secret never matches. No header makes it raise.
    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    form = _FORM.fullmatch(header or "")
    if form is None:
        return None
    signers = [index for index, secret in enumerate(secrets) if secret and _signed(body, form[1], secret)]
    return signers[0] if signers else None


def _signed(body: bytes, digest: str, secret: str) -> bool:
    """Whether *digest* is the HMAC-SHA256 of *body* under *secret*."""
    expected = hmac.new(secret.encode("utf-8", "surrogateescape"), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, digest)
