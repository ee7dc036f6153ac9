"""The crash battery: `make crash`, or `python -m tests.crash [battery …] --cycles N`.

It starts the product as an operator would, hurts it from outside (kill -9, a power cut,
failing writes, a full disk) and then compares three accounts of what happened: the
producer's, the receiver's, and what the product's API says. The accounts must agree.
"""
