"""A private certificate authority, and servers' certificates that are right or wrong in one way each.

Rules of this file:
- Everything is made at run time, for one test session: no key is kept in the repository.
- The names are those of loopback: `127.0.0.1` and `localhost`.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import trustme

from hadoken.clock import SYSTEM
from hadoken.local.http.tls import server_context

Kind = Literal["good", "other name", "expired", "self-signed", "unknown authority"]
WRONG: Final[tuple[Kind, ...]] = ("other name", "expired", "self-signed", "unknown authority")

_NAMES: Final = ("127.0.0.1", "localhost")


class Certificate(NamedTuple):
    """Two PEM files: of a certificate, and of its private key."""

    cert: Path
    key: Path

    @property
    def context(self) -> ssl.SSLContext:
        """The server's side of TLS with it."""
        return server_context(self.cert, self.key)

    @property
    def options(self) -> tuple[str, str]:
        """The options of `hadoken local`, and of `tests.support.local_sqs.Server`."""
        return f"--cert={self.cert}", f"--key={self.key}"


class Authority:
    """A certificate authority that nobody trusts but who is given `bundle`.

    Args:
        folder: where its files are written.

    Attributes:
        bundle: PEM file of its own certificate: `AWS_CA_BUNDLE`, `verify=`, `Settings.ca_bundle`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._made = 0
        self.bundle = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.bundle)

    def certificate(self, kind: Kind = "good", *, lasting: float | None = None) -> Certificate:
        """Make a new certificate.

        Args:
            kind: right, or what is wrong with it.
            lasting: seconds from now until it expires; None: years.
        """
        if kind == "self-signed":
            other = trustme.CA()
            return self._written(other.private_key_pem, [other.cert_pem])
        if kind == "expired":
            lasting = -60.0
        ends = None if lasting is None else datetime.fromtimestamp(SYSTEM.wall() + lasting, UTC)
        names = ("sqs.invalid",) if kind == "other name" else _NAMES
        by = trustme.CA() if kind == "unknown authority" else self._authority
        made = by.issue_cert(*names, not_after=ends)
        return self._written(made.private_key_pem, made.cert_chain_pems)

    def server_context(self, kind: Kind = "good", *, lasting: float | None = None) -> ssl.SSLContext:
        """The server's side of TLS with a new certificate; arguments as of `certificate`."""
        return self.certificate(kind, lasting=lasting).context

    def client_context(self) -> ssl.SSLContext:
        """The side of a client that trusts this authority and no other."""
        return ssl.create_default_context(cafile=self.bundle)

    def _written(self, key: trustme.Blob, chain: list[trustme.Blob]) -> Certificate:
        self._made += 1
        made = Certificate(self._folder / f"{self._made}.cert.pem", self._folder / f"{self._made}.key.pem")
        key.write_to_path(made.key)
        made.cert.write_bytes(b"".join(pem.bytes() for pem in chain))
        return made
