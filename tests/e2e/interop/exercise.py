"""exercise - what tests/e2e/interop.test.mjs has each client do, in Python: the messages and the report"""
import json
import sys


def arguments():
    """URL, whether to offer compression, sizes, seconds to be idle, a CA's file or nothing"""
    url, compression, sizes, idle_ms, ca = sys.argv[1:6]
    return url, compression == "yes", json.loads(sizes), int(idle_ms) / 1000, ca


def text_of(size):
    return "é" * (size >> 1) + "." * (size & 1)


def binary_of(size):
    return bytes((i * 31 + (i >> 8) * 17) & 255 for i in range(size))


def messages(sizes):
    for size in sizes:
        yield f"text of {size}", text_of(size)
        yield f"binary of {size}", binary_of(size)


def trust(ca):
    """For wss: whom to trust."""
    if not ca:
        return None
    import ssl
    return ssl.create_default_context(cafile=ca)


def show(report):
    print(json.dumps(report))
