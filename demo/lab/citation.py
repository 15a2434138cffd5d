"""A paper named in one line, such as "Dong et al., Boosting ..., CVPR 2018", as BibTeX."""

from __future__ import annotations

import re

PAPER = re.compile(
    r"(?P<authors>[^,;]+?( et al\.| and [^,;]+)), (?P<title>[^;]+), (?P<venue>[^,;]+) (?P<year>\d{4})"
)


def bibtex(paper: str) -> str:
    """An entry with no more than the line says; what names no authors, title, venue and year stands
    as a note."""
    found = PAPER.fullmatch(paper)
    if found is None:
        return f"@misc{{{_key(paper)},\n  note = {{{paper}}}\n}}"
    authors = found["authors"].replace(" et al.", " and others")
    first = re.split(r" and ", authors)[0]
    key = _key(f"{first}{found['year']}{_first(found['title'])}")
    fields = {
        "author": authors,
        "title": f"{{{found['title']}}}",
        "booktitle": found["venue"],
        "year": found["year"],
    }
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@inproceedings{{{key},\n{body}\n}}"


def _first(title: str) -> str:
    return re.split(r"\W", title, maxsplit=1)[0]


def _key(words: str) -> str:
    return re.sub(r"[^a-z0-9]", "", words.lower())[:40] or "paper"
