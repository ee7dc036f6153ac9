import os

from flask import Flask, request

from tillbell.verify import VerificationError, verify

app = Flask(__name__)


@app.post("/webhooks")
def receive():
    try:
        verified = verify(request.get_data(), request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError as error:
        return f"Invalid signature: {error.reason}", 401
    print(verified.event_type, verified.id)  # put it in a queue; skip ids seen before
    return "OK"
