import os

from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from tillbell.verify import VerificationError, verify


@csrf_exempt
@require_POST
def receive(request):
    try:
        verified = verify(request.body, request.headers, os.environ["WEBHOOK_SECRET"])
    except VerificationError as error:
        return HttpResponse(f"Invalid signature: {error.reason}", status=401)
    print(verified.event_type, verified.id)  # put it in a queue; skip ids seen before
    return HttpResponse("OK")
