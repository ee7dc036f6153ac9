"""What every peer does for one message: sign it by Standard Webhooks and post it."""

from __future__ import annotations

import base64
import hmac
import os
import threading
import time
import uuid

import requests

URL = os.environ.get("PEER_URL", "")
REDIS = os.environ.get("PEER_REDIS", "")
KEY = base64.b64decode(os.environ.get("PEER_KEY", "").removeprefix("whsec_"))
TIMEOUT_S = 30
_kept = threading.local()


def signed_headers(body: bytes) -> dict[str, str]:
    """Return the headers of one delivery."""
    id_, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    content = f"{id_}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(KEY, content, "sha256")).decode()
    return {
        "content-type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def post(text: str) -> None:
    """Deliver one message with requests and a session that keeps its connection."""
    if not hasattr(_kept, "session"):
        _kept.session = requests.Session()
    body = text.encode()
    answer = _kept.session.post(URL, data=body, headers=signed_headers(body), timeout=TIMEOUT_S)
    answer.raise_for_status()
