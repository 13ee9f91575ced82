"""Inheriting: mappings merge, lists replace, null unsets; and where each value came from."""

from __future__ import annotations

from collections.abc import Iterator

from connect.errors import Location
from connect.project.nodes import Block, Items, Node, block, is_null, scalar
from connect.project.reading import Reading
from connect.vocabulary import Channel


def merge(under: Block, over: Block) -> Block:
    """Both mappings as one: `over` wins, key by key; its nulls stay, so that they can unset."""
    made = Block(over.place or under.place, over.path or under.path)
    for key, node in under.items():
        made.put(key, node, under.key_places.get(key))
    for key, node in over.items():
        below = made.get(key)
        both = isinstance(below, Block) and isinstance(node, Block)
        made.put(key, merge(block(below), block(node)) if both else node, over.key_places.get(key))
    return made


def origins(node: Node) -> Iterator[tuple[str, str]]:
    """(dotted path, `file:line`) of everything in a tree that stands in a file."""
    yield from ((path, f"{place.file}:{place.line}") for path, place in places(node))


def places(node: Node, path: str = "") -> Iterator[tuple[str, Location]]:
    """(dotted path, place) of everything in a tree that stands in a file."""
    if node.place is not None and path:
        yield path, node.place
    children: Iterator[tuple[str, Node]] = iter(())
    if isinstance(node, Block):
        children = iter(node.items())
    elif isinstance(node, Items):
        children = ((str(number), inner) for number, inner in enumerate(node))
    for name, inner in children:
        yield from places(inner, f"{path}.{name}" if path else name)


def filled(tree: Block, key: str, value: Node | None) -> Block:
    """The mapping with this value where it gives none."""
    if value is None or is_null(value) or scalar(tree.get(key)) is not None or isinstance(tree.get(key), Block | Items):
        return tree
    made = tree.without(key)
    made.put(key, value, value.place)
    return made


_BODIES = {Channel.email: frozenset({"html", "text"}), Channel.http: frozenset({"body"})}
"""What stands alone: a French `html` must not go out with an English `text`, nor a JSON body with strings of both."""


def message(tree: Block, defaults: Block, channels: Block, reading: Reading) -> Block:
    """A message with what it inherits: its wording, and for each content the defaults, the fallback and a provider."""
    wording = merge(defaults.without(*(channel.value for channel in Channel)), tree)
    items = tree.get("content")
    if not isinstance(items, Items):
        return wording
    fallbacks = _fallbacks(items, reading)
    made = Items(items.place)
    for item in items:
        made.append(_content(item, defaults, fallbacks, channels, reading) if isinstance(item, Block) else item)
    wording.put("content", made, tree.key_places.get("content"))
    return wording


def _content(item: Block, defaults: Block, fallbacks: dict[str, Block], channels: Block, reading: Reading) -> Block:
    channel = str(scalar(item.get("channel")) or "")
    made = _below(item, block(defaults.get(channel)), channel)
    fallback = fallbacks.get(channel)
    if fallback is not None and fallback is not item:
        made = _below(item, merge(_below(fallback, block(defaults.get(channel)), channel), Block()), channel)
    made = _routed(made, channels.get(channel))
    provider = made.get("provider")
    if channel in tuple(Channel) and (provider is None or is_null(provider)):
        hint = f"name one under `channels.{channel}` in connect.yml"
        reading.report("no-provider", f"no provider is named for {channel}", hint, node=item)
    return made


def _routed(item: Block, channel: Node | None) -> Block:
    """The content over its channel's accounts: a mapping by platform merges with one, everything else replaces."""
    own = item.get("provider")
    if not (isinstance(own, Block) and isinstance(channel, Block)):
        return filled(item, "provider", channel)
    made = item.without()
    made.put("provider", merge(channel, own), item.key_places.get("provider"))
    return made


def _below(item: Block, under: Block, channel: str) -> Block:
    """The content over another. Its own body stands alone."""
    bodies = _BODIES.get(Channel(channel), frozenset()) if channel in tuple(Channel) else frozenset()
    return merge(under.without(*bodies) if bodies & item.keys() else under, item)


def _fallbacks(items: Items, reading: Reading) -> dict[str, Block]:
    """Channel → its content without a locale. Reports contents that nobody could tell apart, or a missing fallback."""
    first: dict[tuple[str, str], Block] = {}
    for item in items:
        if isinstance(item, Block) and scalar(item.get("channel")) is not None:
            locale = str(scalar(item.get("locale")) or "")
            identity = (str(item["channel"]), locale.replace("_", "-").lower())
            if identity in first:
                _report_twin(item, first[identity], identity, reading)
            first.setdefault(identity, item)
    for channel, locale in first:
        if locale and (channel, "") not in first:
            said = f"no {channel} content is without a `locale`"
            hint = "the one without it is the fallback for everybody else"
            reading.report("no-fallback", said, hint, node=first[(channel, locale)])
    return {channel: item for (channel, locale), item in first.items() if not locale}


def _report_twin(item: Block, first: Block, identity: tuple[str, str], reading: Reading) -> None:
    channel, locale = identity
    line = first.place.line if first.place else 0
    what = f"with the locale `{locale}`" if locale else "without a `locale`"
    said = f"a second {channel} content {what} (the first is in line {line})"
    reading.report("duplicate-content", said, "contents of one channel differ by `locale`", node=item)
