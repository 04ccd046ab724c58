# SPDX-License-Identifier: BSD-2-Clause
"""The little Markdown that docs/findings.md uses, as HTML: headings, paragraphs, lists, `code`, **bold**, *italic*, links."""
from __future__ import annotations

import html
import re
from typing import Iterator

_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*|\*(?P<italic>[^*\s][^*]*)\*"
                     r"|\[(?P<text>[^\]]+)\]\((?P<url>[^)\s]+)\)", re.S)


def inline(text: str) -> str:
    """One run of text. A link becomes its text: the report stands alone, the link's base does not."""
    out, at = [], 0
    for match in _INLINE.finditer(text):
        out.append(html.escape(text[at:match.start()]))
        at = match.end()
        if match["code"] is not None:
            out.append(f"<code>{html.escape(match['code'])}</code>")
        elif match["text"] is not None:
            out.append(html.escape(match["text"]))
        else:
            tag = "b" if match["bold"] is not None else "i"
            out.append(f"<{tag}>{inline(match['bold'] or match['italic'])}</{tag}>")
    return "".join(out) + html.escape(text[at:])


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each block; kind: h1…h6, p, li."""
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        heading = re.match(r"(#{1,6})\s+(.*)", lines[0])
        if heading:
            yield f"h{len(heading[1])}", heading[2]
            lines = lines[1:]
        items: list[list[str]] = []
        for line in lines:
            bullet = re.match(r"[-*]\s+(.*)", line)
            if bullet or not items:
                items.append(["li" if bullet else "p", bullet[1] if bullet else line])
            else:
                items[-1][1] += "\n" + line.strip()
        yield from ((kind, body) for kind, body in items if body)


def to_html(text: str, deeper: int = 2) -> str:
    """A page's body; headings `deeper` levels down, the first (the page's title) left out."""
    out, inside = [], False
    for index, (kind, body) in enumerate(blocks(text)):
        if inside != (kind == "li"):
            inside = not inside
            out.append("<ul>" if inside else "</ul>")
        if kind[0] == "h" and index == 0:
            continue
        tag = f"h{min(6, int(kind[1]) + deeper - 1)}" if kind[0] == "h" else kind
        out.append(f"<{tag}>{inline(body)}</{tag}>")
    return "\n".join(out) + ("</ul>" if inside else "")


def to_markdown(text: str, deeper: int = 1) -> str:
    """The same page to be put into another: headings deeper, its title left out, links as their text."""
    body = re.sub(r"\A\s*#[^\n]*\n", "", text)
    body = re.sub(r"^(#+)", lambda m: "#" * min(6, len(m[1]) + deeper), body, flags=re.M)
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", body).strip()
