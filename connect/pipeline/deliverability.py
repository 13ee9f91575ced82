"""What keeps a message from being seen, though it is sent: found in the files, and warned of.

The rules are those of the large mailboxes: Google's "Email sender guidelines" (support.google.com/a/answer/81126),
Yahoo's "Sender Best Practices" (senders.yahooinc.com), and RFC 8058 for one-click unsubscribing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from connect.channels.plain import text_from_html
from connect.errors import Location, Problem, Severity
from connect.liquid.library import Library
from connect.pipeline.literal import OUTPUT, Literal, literals
from connect.pipeline.senders import are_aligned, is_free_mail, sender, signings
from connect.project.campaign import Campaign
from connect.project.message import EmailContent, SmsContent
from connect.project.nodes import block, scalar
from connect.project.project import Project
from connect.project.text import Text
from connect.vocabulary import Channel

CLIPPED_BYTES = 102_400
"""Gmail shows no more of an HTML part, and hides the rest behind "View entire message"."""
LONGEST_SUBJECT = 150


def warnings(project: Project, campaign: Campaign, library: Library, *, reaches_people: bool) -> list[Problem]:
    """Everything that may keep the campaign's messages from being seen.

    What only counts where strangers are written to (ways to unsubscribe) is left out where nobody is reached.
    """
    found: list[Problem] = []
    for content in campaign.message.content:
        if isinstance(content, EmailContent):
            found += _email(project, content, library)
            if reaches_people and not campaign.message.transactional:
                found += _unsubscribe_link(project, content, library)
        elif isinstance(content, SmsContent):
            found += _sms(content)
    if reaches_people and not campaign.message.transactional and Channel.email in campaign.message.channels:
        found += _one_click(project)
    return list(dict.fromkeys(found))


def _warning(code: str, message: str, hint: str, location: Location | None) -> Problem:
    return Problem(code, message, hint, location, Severity.warning)


def _email(project: Project, content: EmailContent, library: Library) -> Iterator[Problem]:
    yield from _sender(project, content)
    yield from _subject(content.subject)
    if content.html is not None:
        pages = literals(content.html, library)
        yield from _size(content.html, pages)
        if content.text is None and not _is_readable(pages):
            said = "this e-mail has nothing to read but images, so its text part is empty"
            yield _warning("no-text-part", said, "add `text`, or describe the images with `alt`", content.html.at(0))
        for page in pages:
            yield from _images(page)
            yield from _links_in_html(page)
    if content.text is not None:
        for page in literals(content.text, library):
            yield from _links_in_text(page)


# Who it is from


def _sender(project: Project, content: EmailContent) -> Iterator[Problem]:
    found = sender(content)
    if found is None:
        return
    if is_free_mail(found.domain):
        said = f"`{found.domain}` lets nobody else send in its name: DMARC fails, and mailboxes refuse the e-mail"
        yield _warning("free-mail-sender", said, "write from a domain of your own", found.location)
    for account, signed in signings(project, content).items():
        if not any(are_aligned(found.domain, signing.domain) for signing in signed):
            said = f"`{account}` signs for `{signed[0].domain}`, and this e-mail is from `{found.domain}`"
            hint = "DMARC wants one domain: write from it, or sign for the one that you write from"
            yield _warning("dkim-other-domain", said, hint, found.location)


# What it says


def _subject(subject: Text) -> Iterator[Problem]:
    length = len(Literal(subject).longest.strip())
    if length > LONGEST_SUBJECT:
        said = f"the subject has {length} characters besides its values; mailboxes show about 60"
        yield _warning("long-subject", said, f"stay below {LONGEST_SUBJECT}", subject.at(0))


def _size(html: Text, pages: list[Literal]) -> Iterator[Problem]:
    size = sum(len(page.longest.encode(errors="replace")) for page in pages)
    if size > CLIPPED_BYTES:
        said = f"the HTML has {size:,} bytes as it is written; Gmail clips what is above {CLIPPED_BYTES:,}"
        yield _warning("html-clipped", said, "the unsubscribe link at its end is lost first: shorten it", html.at(0))


def _is_readable(pages: list[Literal]) -> bool:
    """Whether a text could be made of it: words, values, or descriptions of images."""
    return any(re.search(r"\w", text_from_html(f"<div>{page.blanked.replace(OUTPUT, 'x')}</div>")) for page in pages)


_HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_IMAGE = re.compile(r"""<img\b((?:[^>"']|"[^"]*"|'[^']*')*)>""", re.IGNORECASE)
_VALUES = re.compile(r'"[^"]*"|\'[^\']*\'')
_ALT = re.compile(r"(?<![\w-])alt(?![\w-])", re.IGNORECASE)


def _page(page: Literal) -> str:
    """The HTML without its comments, with every offset as it was."""
    return _HTML_COMMENT.sub(lambda found: " " * len(found[0]), page.blanked)


def _images(page: Literal) -> Iterator[Problem]:
    for found in _IMAGE.finditer(_page(page)):
        names = _VALUES.sub('""', found[1])
        if not _ALT.search(names) and OUTPUT not in names:  # a value may bring the attribute
            said = "this image has no `alt`: many mailboxes show no images at first"
            hint = 'describe it: alt="…"; or alt="" where it is only decoration'
            yield _warning("image-without-alt", said, hint, page.text.at(found.start()))


_INSECURE_IN_HTML = re.compile(
    r"""(?:\b(?:href|src|srcset|background|action)\s*=\s*["']?|\burl\(\s*["']?)\s*(http://)""", re.IGNORECASE
)
_INSECURE_IN_TEXT = re.compile(r"\b(http://)\S", re.IGNORECASE)


def _links_in_html(page: Literal) -> Iterator[Problem]:
    return _insecure(page, _INSECURE_IN_HTML, _page(page))


def _links_in_text(page: Literal) -> Iterator[Problem]:
    return _insecure(page, _INSECURE_IN_TEXT, page.blanked)


def _insecure(page: Literal, pattern: re.Pattern[str], source: str) -> Iterator[Problem]:
    for found in pattern.finditer(source):
        said = "a link or an image without https: filters distrust it, and mailboxes may not load it"
        yield _warning("insecure-link", said, "write https://", page.text.at(found.start(1)))


# How to leave


def _unsubscribe_link(project: Project, content: EmailContent, library: Library) -> Iterator[Problem]:
    bodies = [(text, escape) for text, escape in ((content.html, True), (content.text, False)) if text is not None]
    if not any(_has_link(project, text, escape, library) for text, escape in bodies):
        said = "there is no unsubscribe link in this marketing e-mail"
        hint = "write `{{ url.unsubscribe }}`, or `{{ url.unsubscribe_link }}` in a link of your own"
        yield _warning("no-unsubscribe-link", said, hint, bodies[0][0].at(0))


_LINKS = {("url", "unsubscribe"), ("url", "unsubscribe_link")}


def _has_link(project: Project, text: Text, escape: bool, library: Library) -> bool:
    if any(name.path[:2] in _LINKS for name in library.compile(text, escape=escape).names):
        return True
    page = _own_page(project)
    return bool(page) and any(page in literal.text.source for literal in literals(text, library))


def _own_page(project: Project) -> str:
    """What a link to the project's unsubscribe page begins with; blank where that is no page of its own."""
    url = project.unsubscribe.url if project.unsubscribe else None
    beginning = re.split(r"[{?#]", url.source.strip(), maxsplit=1)[0] if url else ""
    return beginning if re.fullmatch(r"https?://[^/]+/.+", beginning) else ""


def _one_click(project: Project) -> Iterator[Problem]:
    url = project.unsubscribe.url if project.unsubscribe else None
    node = scalar(block(project.tree.get("serve")).get("base_url"))
    name, link, place = "serve.base_url", project.serve.base_url or "", node.place if node else None
    if url is not None:
        name, link, place = "unsubscribe.url", url.source, url.at(0)
    if link.strip().lower().startswith("http://"):
        said = f"`{name}` has no https, so mailboxes offer no one-click unsubscribing (RFC 8058)"
        yield _warning("no-one-click", said, "large mailboxes ask for it in marketing e-mail: serve it by https", place)


# Text messages

_MOST_CULPRITS = 3
"""More characters than this are a language, and not an accident."""
_PLAIN = {"‘": "`'`", "’": "`'`", "“": '`"`', "”": '`"`', "„": '`"`', "–": "`-`", "—": "`-`", "…": "`...`"}
_PLAIN["\u00a0"] = "a space"


def _sms(content: SmsContent) -> Iterator[Problem]:
    from connect.channels.segments import encoding, first_outside, segments

    body = Literal(content.body)
    text = body.longest.strip()
    culprit, kept, culprits = first_outside(text), text, set[str]()
    while outside := first_outside(kept):
        culprits.add(outside)
        kept = kept.replace(outside, "x")
        if len(culprits) > _MOST_CULPRITS:
            return
    if not culprits or segments(text) <= segments(kept):
        return
    said = (
        f"`{culprit}` (U+{ord(culprit):04X}) is not in the GSM alphabet, and makes this text message {encoding(text)}: "
        f"{segments(text)} parts instead of {segments(kept)}, without its values"
    )
    hint = f"write {_PLAIN[culprit]}" if culprit in _PLAIN else "leave it out, or write it otherwise"
    yield _warning("costly-character", said, hint, content.body.at(body.blanked.index(culprit)))
