"""Whether every internal link of the built site leads somewhere, and no signature has quoted types."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The links of a page, the anchors in it, and the text of its signatures."""

    def __init__(self, file: Path):
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.signatures: list[str] = []
        self.open = 0
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {str(given[key]) for key in ("id", "name") if given.get(key)}
        self.links += [str(given[key]) for key in ("href", "src") if given.get(key)]
        if tag == "dt" and "sig" in (given.get("class") or "").split():
            self.open, self.signatures = 1, [*self.signatures, ""]

    def handle_endtag(self, tag: str) -> None:
        if tag == "dt":
            self.open = 0

    def handle_data(self, data: str) -> None:
        if self.open:
            self.signatures[-1] += data


def problems(folder: Path) -> tuple[list[str], int, int]:
    """What is wrong, in words, and how many pages and internal links there are."""
    pages = {file.resolve(): Page(file) for file in sorted(folder.rglob("*.html"))}
    wrong, count = [], 0
    for file, page in pages.items():
        name = file.relative_to(folder.resolve())
        for link in page.links:
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            count += 1
            path, anchor = urldefrag(unquote(link).split("?")[0] if "#" not in link else unquote(link))
            target = (file.parent / path.split("?")[0]).resolve() if path else file
            if not target.exists():
                wrong.append(f"{name}: {link} is not there")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                wrong.append(f"{name}: {link} has no such anchor")
        wrong += [f"{name}: quoted types in {s!r}" for s in page.signatures if re.search(r": ?'[A-Z]|-> ?'", s)]
    return wrong, len(pages), count


def main(folder: str) -> int:
    wrong, pages, links = problems(Path(folder))
    print(*wrong, f"{pages} pages, {links} internal links, {len(wrong)} problems", sep="\n")
    return 1 if wrong or not links else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
