"""Foreign text as people may see it: nothing in it acts, and nothing in it hides.

Templates escape all text. Characters that no one sees, or that turn the text around them, are
written by their names on top of that.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

# Control, direction, width zero, tags, and bytes that are no UTF-8 (as surrogates). Joiners stay:
# emoji and some scripts are written with them.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_WORD_ENDS = re.compile(r"(?<=[._])")
_SHORT = {
    "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO",
    "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI", "\u200e": "LRM",
    "\u200f": "RLM", "\u061c": "ALM", "\u200b": "ZWSP", "\u2060": "WJ", "\ufeff": "BOM",
    "\u00ad": "SHY", "\u2028": "LS", "\u2029": "PS", "\x00": "NUL", "\x1b": "ESC", "\x7f": "DEL",
    "\t": "TAB", "\n": "LF", "\r": "CR", "\x08": "BS", "\x07": "BEL",
}  # fmt: skip
_BDI, _BDI_END = Markup("<bdi>"), Markup("</bdi>")
_BYTE = range(0xDC80, 0xDD00)  # how `surrogateescape` writes a byte


def name_of(character: str) -> str:
    """Return a short name of a hidden character.

    >>> name_of("\\u202e"), name_of("\\x85"), name_of("\\udcff")
    ('RLO', 'U+0085', 'xFF')
    """
    if ord(character) in _BYTE:
        return f"x{ord(character) - 0xDC00:02X}"
    return _SHORT.get(character, f"U+{ord(character):04X}")


def plain(text: str) -> str:
    """Return text with hidden characters as `[RLO]`: for attributes and titles.

    >>> plain("a\\u202eb")
    'a[RLO]b'
    """
    if not HIDDEN.search(text):
        return text
    return HIDDEN.sub(lambda match: f"[{name_of(match[0])}]", text)


def visible(text: object) -> Markup:
    """Return text as markup, isolated from the direction of what stands around it.

    >>> visible("\\u202e")
    Markup('<bdi><span class="ctl" data-c="202e" title="RIGHT-TO-LEFT OVERRIDE">RLO</span></bdi>')
    """
    return _BDI + marked(str(text)) + _BDI_END


def visible_name(text: object) -> Markup:
    """Do the same with a name of several words, which may be broken after a dot or underscore.

    >>> visible_name("order.paid")
    Markup('<bdi>order.<wbr>paid</bdi>')
    """
    return _BDI + Markup("<wbr>").join(map(marked, _WORD_ENDS.split(str(text)))) + _BDI_END


def marked(text: str) -> Markup:
    """Return text as markup in which hidden characters are named."""
    if not HIDDEN.search(text):
        return escape(text)
    parts = []
    end = 0
    for match in HIDDEN.finditer(text):
        parts += [escape(text[end : match.start()]), _mark(match[0])]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def prose(text: str) -> Markup:
    """Return a sentence of ours as markup; what stands in backticks is code.

    >>> prose("Add it to `eventTypes`.")
    Markup('<bdi>Add it to <code>eventTypes</code>.</bdi>')
    """
    parts = text.split("`")
    is_paired = len(parts) % 2 == 1
    if not is_paired:
        return visible(text)
    pieces = [
        Markup("<code>{}</code>").format(marked(part)) if place % 2 else marked(part)
        for place, part in enumerate(parts)
    ]
    return Markup("<bdi>{}</bdi>").format(Markup("").join(pieces))


def _mark(character: str) -> Markup:
    title = unicodedata.name(character, name_of(character))
    return Markup('<span class="ctl" data-c="{:x}" title="{}">{}</span>').format(
        ord(character), title, name_of(character)
    )
