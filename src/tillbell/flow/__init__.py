"""The life of a message, one file a step: publish, dispatch, attempt, resend, maintain."""
