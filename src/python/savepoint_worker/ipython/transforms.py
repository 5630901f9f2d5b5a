"""IPython's transformations of a cell's text, without looking for what cannot be there.

IPython splits every cell into tokens to find `%magic`, `!command`, `help?` and the prefixes `,` `;` `/`. That is a
third of what a short cell costs, and most cells hold none of these characters where they would count. Such a cell is
left alone; IPython itself does the rest, and everything once somebody has added a transformer.
"""

from __future__ import annotations

import re
from typing import Any

from IPython.core import inputtransformer2

#: Looked for in each cell; with any other list this module steps back.
_KNOWN = ["MagicAssign", "SystemAssign", "EscapedCommand", "HelpEnd"]
#: What the known ones look for. Besides, what splitting into tokens may refuse, and then the user is told just that:
#: an indented line may be indented wrongly, and other characters than these may end a line or have no encoding.
#: Each is one character, so that however long the cell is, none is looked at twice.
_SUSPICIOUS = re.compile(r"[%!?]|[^\n\t -~]|^[ \t,;/]", re.MULTILINE)


def speed_up(manager: Any) -> None:
    """Let `manager`, a shell's TransformerManager, pass over cells that hold nothing to transform."""
    transformers = list(manager.token_transformers)
    if [transformer.__name__ for transformer in transformers] != _KNOWN or any(
        getattr(inputtransformer2, transformer.__name__, None) is not transformer for transformer in transformers
    ):
        return
    transform_all = manager.do_token_transforms

    def do_token_transforms(lines: list[str]) -> list[str]:
        if manager.token_transformers == transformers and not _SUSPICIOUS.search("".join(lines)):
            return lines
        return transform_all(lines)

    manager.do_token_transforms = do_token_transforms
