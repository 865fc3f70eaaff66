"""Credentials that can be read at any moment: a snapshot, and the two calls that renew it.

botocore's own object may ask the network in whatever thread looks at it. Here only `refresh` and `renew` do, and the
loop of the engine calls neither.

Rules of this file:
- No lock: a snapshot is replaced whole. Two threads that renew at once do it twice, and a fork finds nothing held.
- What botocore raises is kept and told to the next reader; a snapshot that is still good outlives a failed renewal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Self

from hadoken.errors import SQSDenied
from hadoken.sqs.api import NO_CREDENTIALS

# Our own code for credentials that are configured, and could not be had from where they are given out.
NOT_RENEWED: Final = "CredentialsNotRenewed"


class Keys(NamedTuple):
    """What a request is signed with; `token` belongs to temporary keys alone."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        """Show who it is, never the secrets."""
        return f"Keys({self.access_key!r}, ...)"


# What a local SQS is signed for with, where no account is meant.
NOBODY: Final = Keys("local", "local", None)


class Credentials:
    """A snapshot of credentials that never blocks its reader.

    Args:
        load: finds credentials, of botocore's kind or None; blocks where a role gives them out. Called here once.

    Thread: any.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._source: Any = None  # botocore's object where the keys expire; keys that do not are kept alone
        self._keys: Keys | None = None
        self._trouble = ""  # why there is nothing yet, in words: a kept exception keeps the frames it came through
        try:
            self.renew()
        except SQSDenied as error:  # the first reader is told, and by then it may have been mended
            self._trouble = str(error)

    @classmethod
    def fixed(cls, keys: Keys) -> Self:
        """Credentials that stay what they are."""
        return cls(lambda: keys)

    @property
    def keys(self) -> Keys:
        """The keys to sign with now. Thread: any. Never blocks.

        Raises:
            SQSDenied: there are none (code `NO_CREDENTIALS`), or they have not been had yet (`NOT_RENEWED`, transient).
        """
        if self._keys is not None:
            return self._keys
        if self._trouble:
            raise SQSDenied(self._trouble, operation="credentials", code=NOT_RENEWED, transient=True)
        raise SQSDenied(
            "no AWS credentials are found",
            operation="credentials",
            code=NO_CREDENTIALS,
            hint="configure AWS credentials, or use the local SQS with --local",
        )

    @property
    def expire(self) -> bool:
        """Whether a look now and then is needed: they are temporary, or there are none yet."""
        return self._keys is None or self._source is not None

    def refresh(self) -> None:
        """Renew what is about to expire, and look again for what was not found; free where neither is so.

        Raises:
            SQSDenied: they cannot be had (`NOT_RENEWED`, transient); what was had before is still there.

        Thread: any but a loop's; blocks for a request where the credentials come from a role.
        """
        if self._keys is None:
            self.renew()
        elif self._source is not None:
            self._take(self._source)

    def renew(self) -> None:
        """Load the credentials anew, whatever is known of their expiry: for when SQS says that they have expired.

        Raises:
            SQSDenied: as for `refresh`.

        Thread: any but a loop's; blocks as `refresh` does.
        """
        try:
            found = self._load()
        except Exception as error:
            raise self._not_renewed(error) from error
        self._trouble = ""
        if isinstance(found, Keys):
            self._keys, self._source = found, None
        elif found is not None:
            self._take(found)

    def _take(self, source: Any) -> None:  # noqa: ANN401 -- botocore ships no types
        try:
            frozen = source.get_frozen_credentials()
        except Exception as error:
            raise self._not_renewed(error) from error
        self._keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        # A source without expiry would be asked in vain; it may hold a whole session of botocore.
        self._source = source if hasattr(source, "refresh_needed") else None

    @staticmethod
    def _not_renewed(error: Exception) -> SQSDenied:
        text = f"credentials cannot be refreshed: {error}"
        return SQSDenied(text, operation="credentials", code=NOT_RENEWED, transient=True)
