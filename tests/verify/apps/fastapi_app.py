import os

from fastapi import FastAPI, HTTPException, Request

from tillbell.verify import VerificationError, verify

app = FastAPI()


@app.post("/webhooks")
async def receive(request: Request):
    try:
        verified = verify(await request.body(), request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError as error:
        raise HTTPException(401, f"Invalid signature: {error.reason}") from None
    print(verified.event_type, verified.id)  # put it in a queue; skip ids seen before
    return "OK"
