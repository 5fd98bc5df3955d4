"""Make, list and revoke API keys: ``wanserve keys create NAME``."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from jobs.connect import open_keys, open_store
from jobs.embedded import EmbeddedRedis, InUseError
from jobs.errors import JobsError, StoreUnavailableError
from jobs.keys import ApiKey, KeyStore, Scope, create_key
from jobs.settings import JobsSettings, load_settings
from scripts.table import print_table


@contextmanager
def reachable(settings: JobsSettings) -> Iterator[None]:
    """The configured Redis answers, or the embedded one, which is started for that if it does not run.

    Raises:
        StoreUnavailableError: it does not answer; an embedded one may run all the same.
    """
    with ExitStack() as running:
        try:
            open_store(settings).ping()
        except StoreUnavailableError as error:
            if settings.redis_url:
                raise
            embedded = EmbeddedRedis(settings.redis_directory)
            try:
                running.enter_context(embedded)
            except InUseError:
                raise StoreUnavailableError(embedded.silence) from error
        yield


def create(keys: KeyStore, options: Namespace) -> None:
    """Make a key and show its token, this once."""
    key, token = create_key(
        keys, name=options.name, tenant=options.tenant, scopes=options.scopes, now=time.time()
    )
    print(f"Key {key.id} for tenant {key.tenant} ({', '.join(sorted(key.scopes))}).", file=sys.stderr)
    print("The token is shown this once; only its digest is kept.", file=sys.stderr)
    print(token)


def show(keys: KeyStore, _: Namespace) -> None:
    """List every key, the revoked ones too."""
    heads = ("id", "name", "tenant", "scopes", "created", "last used", "revoked")
    print_table(heads, [_row(key) for key in keys.all()])


def revoke(keys: KeyStore, options: Namespace) -> None:
    """End a key; gateways know of it within seconds."""
    key = keys.revoke(options.id, time.time())
    print(f"Key {key.id} ({key.name}) is revoked.")


def _row(key: ApiKey) -> tuple[str, ...]:
    times = (key.created_at, key.last_used_at, key.revoked_at)
    return (key.id, key.name, key.tenant, ",".join(sorted(key.scopes)), *map(_minute, times))


def _minute(seconds: float | None) -> str:
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%MZ}"


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(name.strip()) for name in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"scopes are {', '.join(Scope)}") from None


COMMANDS: Mapping[str, Callable[[KeyStore, Namespace], None]] = {
    "create": create,
    "list": show,
    "revoke": revoke,
}


def _name(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("a key's name says what it is for")
    return text


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(prog=prog, description="Make, list and revoke API keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("create", help="make a key and print its token")
    making.add_argument("name", type=_name, help="what the key is for")
    making.add_argument("--tenant", default="default", help="whom its jobs and videos belong to")
    making.add_argument(
        "--scopes",
        type=_scopes,
        default=frozenset({Scope.READ, Scope.SUBMIT}),
        help=f"some of {','.join(Scope)}; default read,submit",
    )
    commands.add_parser("list", help="list every key")
    commands.add_parser("revoke", help="end a key for good").add_argument("id", help="as `list` shows it")
    return parser


def main(arguments: Sequence[str], prog: str = "python -m scripts.keys") -> None:
    """Run one command; ``prog`` is what it was called as."""
    options = _parser(prog).parse_args(arguments)
    settings = load_settings(JobsSettings)
    try:
        with reachable(settings):
            COMMANDS[options.command](open_keys(settings), options)
    except (JobsError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
