"""Links that lead out of the book, checked by Sphinx; it needs a network, so no test does this."""

import json
import subprocess
from pathlib import Path

from tutorial_utils.book.notebooks import without_colours
from tutorial_utils.book.render import jupyter_book, stage


def broken_links(root: Path, folder: Path) -> list[str]:
    """Return a line for each link that leads nowhere: page, line, address, reason.

    Args:
        root: the clone. Addresses of a placeholder, and what `linkcheck_ignore` in ``_config.yml``
            names, are left out.
        folder: where the book is put together; made anew.

    Raises:
        RuntimeError: with what Sphinx said, when it could not read the book.
    """
    stage(root, root / "notebooks", folder)
    command = jupyter_book(folder, "--builder", "linkcheck")
    done = subprocess.run(command, capture_output=True, text=True)
    report = folder / "_build" / "html" / "output.json"  # where jupyter-book has it write
    if not report.exists():
        raise RuntimeError(without_colours(done.stderr.strip() or done.stdout))
    found = map(json.loads, report.read_text(encoding="utf-8").splitlines())
    return [
        f"{link['filename']}:{link['lineno']}: {link['uri']} ({link['info']})"
        for link in found
        if link["status"] in ("broken", "timeout")
    ]
