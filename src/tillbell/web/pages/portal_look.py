"""How the portal looks: name, logo, light or dark, and an accent in place of brass.

Settings say it for every link; a link may have an accent and a theme of its own, by the names that
Svix's components use. Whatever accent is chosen, text and lines in it are made dark or light enough
to be read: 4.5:1 for text, 3:1 for lines, as WCAG 2.2 AA asks.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tillbell.config import Settings

LIGHT, DARK, AUTO = "light", "dark", "auto"
TEXT_CONTRAST, LINE_CONTRAST = 4.5, 3.0
_ACCENT = re.compile(r"#?([0-9a-fA-F]{6})")
_DARK_MODES = {"true": DARK, "false": LIGHT, "auto": AUTO}  # as links of Svix say it
_STEPS = 100
# The surfaces of tillbell.css that text in the accent stands on, the one with least contrast too.
_SURFACES = {
    LIGHT: ("#ffffff", "#f5f7f9", "#eef1f4", "#f1f4f7"),
    DARK: ("#15181f", "#0d1015", "#1b1f27", "#1c2028"),
}
_INKS = ("#ffffff", "#10141c")
_WASH = {LIGHT: 0.1, DARK: 0.16}  # how much of the accent is in the wash

Rgb = tuple[float, float, float]


class PortalLook(NamedTuple):
    """How the pages of one visit look. `accent` is six hexadecimal digits; "": brass."""

    name: str
    has_logo: bool
    accent: str
    mode: str

    @property
    def theme(self) -> str:
        """Return the theme that is fixed; "": that of the reader's system."""
        return "" if self.mode == AUTO else self.mode


def look_of(settings: Settings, accent: str = "", mode: str = "") -> PortalLook:
    """Return the look of the settings, with what a link asks for instead, if that can be read."""
    return PortalLook(
        name=settings.portal_name,
        has_logo=bool(settings.portal_logo),
        accent=accent_of(accent) or accent_of(settings.portal_accent),
        mode=mode if mode in (LIGHT, DARK, AUTO) else settings.portal_theme,
    )


def accent_of(text: str) -> str:
    """Return six small hexadecimal digits; "" if the text is no colour.

    >>> accent_of("#0A7EA4"), accent_of("red")
    ('0a7ea4', '')
    """
    match = _ACCENT.fullmatch(text)
    return match[1].lower() if match else ""


def asked_look(query: Mapping[str, str]) -> tuple[str, str]:
    """Return the accent and the theme that a link asks for; "" for what it does not."""
    mode = _DARK_MODES.get(query.get("darkMode", ""), "")
    return accent_of(query.get("primaryColor", "")), mode


def stylesheet(accent: str) -> str:
    """Return the style sheet that puts an accent in the place of brass."""
    light, dark = tokens(accent, LIGHT), tokens(accent, DARK)
    lines = [f"  --{name}: light-dark({light[name]}, {dark[name]});" for name in light]
    return "\n".join([":root {", *lines, "}", ""])


def tokens(accent: str, theme: str) -> dict[str, str]:
    """Return the colours of an accent in one theme, by the names of tillbell.css."""
    colour = _rgb(accent)
    surfaces = [_rgb(surface) for surface in _SURFACES[theme]]
    wash = _mixed(colour, surfaces[0], _WASH[theme])
    grounds = [*surfaces, wash]
    fill = _first(colour, lambda each: contrast(_ink_on(each), each) >= TEXT_CONTRAST, -1)
    ink = _ink_on(fill)
    second = _shifted(fill, -0.04 if theme == LIGHT else 0.04)
    if contrast(ink, second) < TEXT_CONTRAST:
        second = fill
    text = _readable(colour, grounds, TEXT_CONTRAST, theme)
    line = _readable(colour, grounds, LINE_CONTRAST, theme)
    named = {
        "brass": fill,
        "brass-2": second,
        "brass-ink": ink,
        "brass-text": text,
        "brass-line": line,
        "brass-wash": wash,
        "focus": text,
    }
    return {name: _written(rgb) for name, rgb in named.items()}


def contrast(colour: Rgb | str, ground: Rgb | str) -> float:
    """Return the contrast of two colours, 1 to 21: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio.

    >>> round(contrast("000000", "ffffff"), 1)
    21.0
    """
    low, high = sorted(_luminance(_rgb(c) if isinstance(c, str) else c) for c in (colour, ground))
    return (high + 0.05) / (low + 0.05)


def _readable(colour: Rgb, grounds: list[Rgb], least: float, theme: str) -> Rgb:
    """Return the colour, as much darker or lighter as it takes to be seen on all grounds."""

    def fits(candidate: Rgb) -> bool:
        return all(contrast(candidate, ground) >= least for ground in grounds)

    return _first(colour, fits, -1 if theme == LIGHT else 1)


def _ink_on(fill: Rgb) -> Rgb:
    """Return the colour of text on a fill: white or nearly black."""
    return max((_rgb(ink) for ink in _INKS), key=lambda ink: contrast(ink, fill))


def _first(colour: Rgb, fits: Callable[[Rgb], bool], sign: int) -> Rgb:
    """Return the first colour on the way to black (-1) or white (1) that fits."""
    steps = (_shifted(colour, sign * step / _STEPS) for step in range(_STEPS + 1))
    return next((step for step in steps if fits(step)), _rgb("000000" if sign < 0 else "ffffff"))


def _shifted(colour: Rgb, by: float) -> Rgb:
    """Return a colour that is lighter or darker, as it can be written."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*colour)
    shifted = colorsys.hls_to_rgb(hue, min(1.0, max(0.0, lightness + by)), saturation)
    return _rgb(_written(shifted))


def _mixed(colour: Rgb, ground: Rgb, share: float) -> Rgb:
    red, green, blue = (share * c + (1 - share) * g for c, g in zip(colour, ground, strict=True))
    return _rgb(_written((red, green, blue)))


def _luminance(colour: Rgb) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(text: str) -> Rgb:
    digits = text.removeprefix("#")
    red, green, blue = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return red, green, blue


def _written(colour: Rgb) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)
