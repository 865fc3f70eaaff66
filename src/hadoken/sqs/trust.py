"""Whom we trust when TLS is spoken: one context for all connections of a client."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path


def client_context(ca_bundle: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """The client's side of TLS, one for all who trust the same; the first of them reads the bundle, in 10 to 40 ms.

    Args:
        ca_bundle: path of the certificates to trust; None trusts those that botocore does.
        verify: whether certificate and name of the server are verified at all.

    Raises:
        OSError: the bundle cannot be read.
    """
    from botocore.httpsession import get_cert_path  # noqa: PLC0415 -- botocore is loaded where it is used

    bundle = ca_bundle or get_cert_path(True)  # noqa: FBT003 -- its only argument
    try:
        return _context(bundle, Path(bundle).stat().st_mtime_ns, verify)
    except OSError as error:
        raise OSError(f"the certificates to trust cannot be read from {bundle}: {error}") from error


@lru_cache(maxsize=4)
def _context(bundle: str, _written: int, verify: bool) -> ssl.SSLContext:  # noqa: FBT001 -- all of it is the key
    """Read a bundle, anew once it was written anew."""
    context = ssl.create_default_context(cafile=bundle)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
