"""`hadoken.local.serve()`: a local SQS for as long as a block lasts."""

from __future__ import annotations

import http.client
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local.child import ChildServer
from hadoken.local.finding import opened
from hadoken.local.state.profile import PROFILES

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from hadoken.local.faults import Rule


@contextmanager
def serve(
    port: int = 0,
    *,
    profile: str = "aws",
    seed: int = 0,
    faults: str | Path | Sequence[Rule] = (),
    log: str | Path | None = None,
    data: str | Path | None = None,
    require_signature: bool = False,
    cert: str | Path | None = None,
    key: str | Path | None = None,
) -> Generator[str]:
    """Run a local SQS in a child process on loopback, and give its URL: `with hadoken.local.serve() as url:`.

    Args:
        port: 0 takes a free one.
        profile: "aws", or "harsh": the worst answers that AWS documents.
        seed: of everything that is left to chance, the rules' chances too; a script in a file has its own.
        faults: rules, or the file of a script; none by default.
        log: a file for all calls and events, as JSON lines.
        data: the file that keeps queues and messages over restarts.
        require_signature: refuse requests that are not signed by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
        cert: PEM file of a certificate: the URL is https://, and plain HTTP is not answered.
        key: PEM file of its private key; None: it stands in `cert` too.

    Raises:
        ConfigurationError: another program holds the port, or an argument is wrong; the child says which.

    Thread: any; blocks until the child listens, and at the end until it is gone. Starts no thread.
    """
    if profile not in PROFILES:
        raise ConfigurationError(f"profile is {profile!r}; there are {' and '.join(sorted(PROFILES))}")
    for name, number in (("port", port), ("seed", seed)):
        if not isinstance(number, int):  # pyright: ignore[reportUnnecessaryIsInstance] -- annotations bind nobody at run time
            raise ConfigurationError(f"{name} is {number!r}; it is a whole number")
    options = [f"--profile={profile}", f"--seed={seed}"]
    if isinstance(faults, str | Path):
        options.append(f"--faults={faults}")
    files = (("log", log), ("data", data), ("cert", cert), ("key", key))
    options += [f"--{name}={Path(path).absolute()}" for name, path in files if path is not None]
    options += ["--require-signature"] * require_signature
    with ChildServer(port, options=options) as child:
        if not isinstance(faults, str | Path) and faults:
            _set(child.url, faults, seed)
        yield child.url


def _set(url: str, rules: Sequence[Rule], seed: int) -> None:
    body = msgspec.json.encode({"seed": seed, "rules": list(rules)})
    with closing(opened(url)) as connection:
        connection.request("POST", "/_hadoken/faults", body)
        answer = connection.getresponse()
        said = answer.read()
    if answer.status != http.client.OK:
        raise ConfigurationError(f"the faults cannot be set: {said.decode()}")
