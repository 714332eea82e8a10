"""Check that the search of the built pages leads from a word to its page.

Numbers, such as status codes, are found by the index entries of a page alone: the
search of Sphinx looks for them nowhere else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What the questions of faq.rst are about, and the page that answers each.
WORDS = {
    "trio": "howto/migrate-from-trio-websocket",
    "anyio": "index",
    "comparison": "comparison",
    "fastapi": "howto/asgi",
    "HTTP/2": "howto/upgrade",
    "403": "howto/browsers-and-proxies",
    "1006": "howto/debug",
    "authentication": "howto/authenticate",
    "cookie": "howto/identify",
    "proxy": "howto/proxies",
    "certificate": "howto/tls",
    "reconnect": "howto/reconnect",
    "json": "howto/json",
    "concurrency": "howto/two-tasks",
    "broadcast": "howto/broadcast",
    "1009": "howto/fragments",
    "heartbeat": "howto/keepalive",
    "delivery": "howto/facts",
    "slow": "howto/slow-consumers",
    "pytest": "howto/testing",
    "memory": "howto/large-servers",
    "restart": "howto/restart",
    "logging": "howto/watch",
    "thread": "howto/threads",
    "notebook": "howto/threads",
}


def pages(index: dict[str, Any], word: str) -> set[str]:
    """Name the pages that the search shows for a word."""
    word = word.lower()
    found = set[int]()
    for title, places in index["alltitles"].items():
        if word in title.lower() and len(word) >= len(title) / 2:
            found.update(page for page, _ in places)
    for entry, places in index["indexentries"].items():
        if word in entry and len(word) >= len(entry) / 2:
            found.update(page for page, *_ in places)
    if not word.isdigit():
        for terms in (index["terms"], index["titleterms"]):
            for term, numbers in terms.items():
                # A stem is the beginning of its word, or nearly.
                if term.startswith(word[:-2]) or word == term:
                    found.update([numbers] if isinstance(numbers, int) else numbers)
    return {index["docnames"][number] for number in found}


def main(folder: str) -> None:
    text = Path(folder, "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    missing = {word for word, page in WORDS.items() if page not in pages(index, word)}
    if missing:
        sys.exit(f"the search does not find the page of: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main(sys.argv[1])
