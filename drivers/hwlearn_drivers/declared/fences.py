"""Fences for boards with a text protocol: an echo with a number, or the identity, which no other reply equals."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwlearn_drivers.declared.checksum import Checksum
from hwlearn_drivers.declared.declaration import Declaration
from hwlearn_drivers.declared.template import Template, template
from hwlearn_drivers.transport.fence import Fence


@dataclass(frozen=True, slots=True)
class EchoFence(Fence):
    """A fence whose reply has a form of its own.

    Attributes
    ----------
    reply : Template
        With the field ``{n}``.
    checksum : Checksum or None
    """

    reply: Template | None = None
    checksum: Checksum | None = None
    replies_have_one: bool = False

    def question(self, n: int) -> str:
        """Return the query for the number n."""
        line = self.template.replace("{n}", str(n))
        return line if self.checksum is None else self.checksum.add(line)

    def answered(self, line: str, n: int) -> bool:
        """Whether a line is the reply for n."""
        found = _content(line, self.checksum if self.replies_have_one else None)
        values = None if found is None or self.reply is None else self.reply.parse(found)
        return values is not None and values["n"] == str(n)


@dataclass(frozen=True, slots=True)
class IdentityFence(Fence):
    """The identity query as a fence: a board answers in order, so everything before the identity is older.

    Attributes
    ----------
    expect : str
        Regular expression of the identity.
    checksum : Checksum or None
    """

    expect: str = ""
    checksum: Checksum | None = None
    replies_have_one: bool = False

    def question(self, n: int) -> str:
        """Return the identity query."""
        return self.template if self.checksum is None else self.checksum.add(self.template)

    def answered(self, line: str, n: int) -> bool:
        """Whether a line is the identity."""
        found = _content(line, self.checksum if self.replies_have_one else None)
        return found is not None and re.fullmatch(self.expect, found.strip()) is not None


def fence_of(declaration: Declaration) -> Fence | None:
    """Return the best fence that a board has; None if it has neither echo nor identity."""
    link, own = declaration.link, declaration.line_checksum
    replies = declaration.checksum is not None and declaration.checksum.replies
    if link.echo is not None and link.echo_reply is not None:
        return EchoFence(
            link.echo, 10**4, reply=template(link.echo_reply, ("n",)), checksum=own, replies_have_one=replies
        )
    if declaration.identity is not None:
        identity = declaration.identity
        return IdentityFence(identity.ask, 10**4, expect=identity.expect, checksum=own, replies_have_one=replies)
    return None


def _content(line: str, checksum: Checksum | None) -> str | None:
    return line.strip() if checksum is None else checksum.checked(line)
