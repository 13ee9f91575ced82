"""connect.yml: the project, as one target sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from connect.identity import KeyRing
from connect.project import endpoint
from connect.project.audience import SourceName, with_sql_file
from connect.project.content import Sql
from connect.project.destination import Destination
from connect.project.message import Wording
from connect.project.nodes import Block, Items, Node, Scalar, Spot, scalar
from connect.project.policy import Policy
from connect.project.profile import Everyone, EveryoneField, Profile, ProfileField
from connect.project.reading import Reading, Written
from connect.project.route import AccountsField, Route, RouteField
from connect.project.secrets import report_literal
from connect.project.serve import Serve
from connect.project.settings import ProviderEntry, SourceEntry
from connect.project.text import Text
from connect.project.types import Name, TableName, Word, Words, Zone
from connect.project.unsubscribe import Unsubscribe
from connect.project.vault import Vault
from connect.project.webhooks import Hook
from connect.redact import Redactor, Secret
from connect.vocabulary import Channel, Mode, Platform, SubscriptionStatus


class TestRecipient(Written):
    """Where test mode sends; a channel without one is dropped in test mode."""

    __test__: ClassVar[bool] = False  # for pytest: not a test
    section: ClassVar[str] = "test_recipient"

    email: Word | None = None
    phone_number: Word | None = None
    device_token: Word | None = None
    platform: Platform | None = Field(None, description="of the device")
    http: Word | None = Field(None, description="a URL")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        endpoint.check_url(scalar(tree.get("http")), "http", reading)
        return tree

    def lacks_platform(self, route: Route) -> bool:
        """Whether nobody could tell by which of these accounts the test device is reached."""
        return bool(self.device_token) and self.platform is None and route.by_platform


NO_TEST_PLATFORM = (
    "missing-key",
    "`test_recipient.platform` is missing",
    "the accounts of `push` differ by platform: say what the test device is (ios, android or web)",
)


class Subscriptions(Written):
    """Where opt-outs are read, and where new ones are written."""

    section: ClassVar[str] = "subscriptions"
    also: ClassVar[frozenset[str]] = frozenset({"sql_file"})

    source: SourceName = Field("", description="the warehouse; the project's first where it is left out")
    sql: Sql = Field(description="gives `id` and/or `address`, optionally `channel`, `topic`, `status`, `at`")
    subscribed_values: Words = Field(("subscribed",), description="only these statuses count as subscribed")
    write: TableName | None = Field(
        None, description="the table to which unsubscribes, hard bounces and complaints are added"
    )

    @property
    def subscribed(self) -> str:
        """The status that is written for somebody who came back: one that counts when it is read."""
        word = SubscriptionStatus.subscribed.value
        return word if word in self.subscribed_values else self.subscribed_values[0]

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if "sql" in tree and "sql_file" in tree:
            reading.report("bad-value", "`subscriptions` has both `sql` and `sql_file`", "give one", node=tree)
        if "write" in tree:
            _check_words(tree.get("subscribed_values"), reading)
        return _with_everything(with_sql_file(tree))


def _check_words(given: Node | None, reading: Reading) -> None:
    """What is written as an opt-out must be read as one, and there must be a word for the opposite."""
    opted_out = {status.value for status in SubscriptionStatus} - {SubscriptionStatus.subscribed.value}
    words = given if isinstance(given, Items) else [given] if given is not None else ["subscribed"]
    wrong = next((word for word in words if isinstance(word, Scalar) and word in opted_out), None)
    if wrong is not None:
        hint = f"{', '.join(sorted(opted_out))} are the words for opt-outs in the table of `write`"
        reading.report("bad-value", f"`subscribed_values` can not have `{wrong.written}`", hint, node=wrong)
    if not words:
        reading.report("bad-value", "`subscribed_values` is empty", "name the word for who came back", node=given)


_EVERYTHING = "select * from "


def _with_everything(tree: Block) -> Block:
    """The mapping with the query over the table of `write`, where it has no other."""
    table = tree.get("write")
    if "sql" in tree or not isinstance(table, Scalar):
        return tree
    made = tree.without()
    query = Scalar(_EVERYTHING + table, table.place)
    if table.place and table.spot:
        line, column = table.spot.line, table.spot.column
        marks = ((0, line, column), (len(_EVERYTHING), line, column))  # a mistake in it is shown at the table's name
        query.spot = Spot(line, column, 0, marks, (table.place.text,))
    made.put("sql", query, tree.key_places.get("write"))
    return made


class Sheets(Written):
    """As whom Google Sheets are read."""

    section: ClassVar[str] = "sheets"

    service_account: Secret | None = Field(None, description="the text of its JSON file: ${file:google.json}")
    endpoint_url: Word | None = Field(None, description="instead of Google, for tests and proxies")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        account = scalar(tree.get("service_account"))
        if account is not None and not (account.secret or account.unresolved):
            report_literal(account, "the service account", reading)
        return tree


class Channels(Written):
    """The provider of each channel, or several in failover order; of push also by platform."""

    section: ClassVar[str] = "channels"

    email: AccountsField | None = None
    sms: AccountsField | None = None
    push: RouteField | None = None
    http: AccountsField | None = None


class MessageDefaults(Wording):
    """What every campaign's message inherits."""

    section: ClassVar[str] = "defaults.message"

    email: dict[str, Any] = Field({}, description="inherited by every e-mail content")
    sms: dict[str, Any] = Field({}, description="inherited by every SMS content")
    push: dict[str, Any] = Field({}, description="inherited by every push content")
    http: dict[str, Any] = Field({}, description="inherited by every HTTP content")

    @classmethod
    def keys(cls) -> frozenset[str]:
        return super().keys() | {"transactional", "content"}

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        for key, (code, said, hint) in _NOT_DEFAULTS.items():
            if key in tree:
                reading.report(code, said, hint, place=tree.key_places.get(key))
        return tree.without(*_NOT_DEFAULTS)


_NOT_DEFAULTS = {
    "transactional": (
        "default-transactional",
        "`transactional` can not be a default",
        "it overrides people's opt-outs: say it in each campaign that needs it",
    ),
    "content": (
        "unknown-key",
        "`defaults.message.content`: a list would replace, not merge",
        "put what e-mails inherit under `defaults.message.email`, and those of other channels likewise",
    ),
}


class Defaults(Written):
    """What every campaign inherits."""

    message: MessageDefaults = MessageDefaults()
    policy: Policy = Policy()


def _passed(value: object) -> object:
    """Read elsewhere, with the adapter's own model."""
    return {} if isinstance(value, Scalar | list) else value


Entries = Annotated[dict[str, Any], BeforeValidator(_passed)]
DEFAULT_STATE = "sqlite:///.connect/state.db"


class ProjectFile(Written):
    """The keys of connect.yml, with the chosen target's put over them."""

    section: ClassVar[str] = "connect"

    name: Name = Field(description="the project's name")
    timezone: Zone = Field("UTC", description="IANA zone")
    targets: Entries = Field({}, description="named environments; each overrides any other key")
    default_target: Name | None = Field(None, description="the target where neither --target nor CONNECT_TARGET says")
    mode: Mode = Field(Mode.test, description="live sends; test redirects to test_recipient; offline only counts")
    test_recipient: TestRecipient = TestRecipient()
    state: Word = Field(DEFAULT_STATE, description="SQLAlchemy URL of the ledger")
    secret: Words = Field((), description="the first seals and signs, older ones still open: ${CONNECT_SECRET}")
    sources: Entries = Field({}, description="named warehouses; the first is the default")
    providers: Entries = Field({}, description="named provider accounts")
    channels: Channels = Channels()
    subscriptions: Subscriptions | None = Field(None, description="where opt-outs are read and written")
    destination: Destination | None = Field(None, description="where deliveries and events are written")
    sheets: Sheets = Sheets()
    audience_folders: Words = Field((), description="folders outside the project that audiences' files may be in")
    unsubscribe: Unsubscribe | None = None
    everyone: EveryoneField | None = Field(None, description="a query: whom audiences of segments alone are taken from")
    profile: ProfileField | None = Field(None, description="a query with :id, for `connect profile`")
    defaults: Defaults = Defaults()
    serve: Serve = Serve()
    webhooks: dict[Name, Hook] = Field({}, description="endpoints that are told what happens")


@dataclass(frozen=True)
class Project:
    """A project as one target sees it, with its secrets put in."""

    name: str
    timezone: str
    root: Path
    target: str
    mode: Mode
    test_recipient: TestRecipient
    state: str = field(repr=False)
    """SQLAlchemy URL of the ledger; a relative SQLite path is made absolute."""
    secret: KeyRing
    sources: Mapping[str, SourceEntry] = field(repr=False)
    default_source: str
    """The first source; blank where there is none."""
    providers: Mapping[str, ProviderEntry] = field(repr=False)
    channels: Mapping[Channel, Route]
    subscriptions: Subscriptions | None
    destination: Destination | None
    sheets: Sheets
    audience_folders: tuple[str, ...]
    """Where the files of audiences may be, beside the project's folder."""
    unsubscribe: Unsubscribe | None = field(repr=False)
    everyone: Everyone | None
    profile: Profile | None
    serve: Serve
    webhooks: Mapping[str, Hook]
    redactor: Redactor = field(repr=False, compare=False)
    vault: Vault = field(repr=False, compare=False)
    origins: Mapping[str, str] = field(repr=False)
    """Dotted path → `file:line`."""
    tree: Block = field(repr=False, compare=False)
    """connect.yml as this target sees it, before secrets were put in."""

    @property
    def texts(self) -> tuple[Text, ...]:
        """The project's own Liquid and SQL."""
        own = (self.subscriptions and self.subscriptions.sql, self.unsubscribe and self.unsubscribe.url)
        return tuple(text for text in own if text)

    def reveal(self, text: str) -> str:
        """A text of an HTTP content with the values of its references (`${NAME}`) put in, for the request alone.

        The redactor knows them from then on. Raises UserError `missing-secret`, which names the reference.
        """
        return self.vault.put_in(text, self.redactor)


def absolute_state(state: str, root: Path) -> str:
    found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/:?][^?]*)(\?.*)?", state)
    return f"{found[1]}{(root / found[2]).resolve()}{found[3] or ''}" if found else state
