"""A `jupyter_client.Session` that puts messages on the link.

Everything in a kernel that publishes (display hooks, comms, tracebacks, third parties) ends in `session.send(socket,
...)`. So this is the one seam at which ZeroMQ is replaced. Headers, signatures and routing are the gateway's business;
only content, metadata and buffers leave this process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import DONE, Message, Session, extract_header, json_packer, new_id_bytes
from traitlets import default

from .. import interrupts
from ..link import Bytes, Link
from .sockets import Channel

_encode = json.JSONEncoder(default=json_default, allow_nan=False, separators=(",", ":")).encode


# A backslash that is escaped itself, a pair of surrogates, or one without the other.
_SURROGATES = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|\\ud[89a-f]..")


def pack(value: Any) -> bytes:
    """`value` as JSON in ASCII; what is no JSON (NaN, keys of other types) is put as Jupyter's own session puts it."""
    try:
        text = _encode(value)
    except (TypeError, ValueError):
        return json_packer(value)
    return without_halves(text).encode("ascii")


def without_halves(escaped: str) -> str:
    """Text that is escaped for JSON, with half characters replaced: a client could not save a notebook with them."""
    if "\\ud" not in escaped:
        return escaped
    return _SURROGATES.sub(lambda found: "\\ufffd" if len(found[0]) == 6 else found[0], escaped)


class LinkSession(Session):
    """Sends messages as link frames."""

    #: None in the zygote and in processes forked by the user: what they publish is dropped.
    link: Link | None = None
    #: Sends what was printed so far, so that it stands before whatever is published next.
    flush_streams: Callable[[], None] = staticmethod(lambda: None)
    #: Sends a publication, after what was printed; None: over `link`, at once.
    publish: Callable[..., None] | None = None
    #: Called with the parent's msg_id, content and metadata of each reply.
    on_reply: Callable[[str | None, dict[str, Any], dict[str, Any]], None] | None = None

    @default("key")
    def _key_of_the_connection(self) -> bytes:
        key: str = getattr(self.parent, "connection", {}).get("key", "")
        return key.encode() or new_id_bytes()

    def reply(self, msg_id: str | None, content: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Answer the request `msg_id`."""
        if self.on_reply is not None:
            self.on_reply(msg_id, content, metadata)

    def send(  # type: ignore[override]
        self,
        stream: Any,
        msg_or_type: dict[str, Any] | str,
        content: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
        ident: Any = None,
        buffers: Any = None,
        track: bool = False,
        header: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Send a message, or build one and send it; the message is returned. Sockets of others get it over ZeroMQ."""
        if not isinstance(stream, Channel):
            return super().send(stream, msg_or_type, content, parent, ident, buffers, track, header, metadata)
        if isinstance(msg_or_type, (Message, dict)):
            message: dict[str, Any] = dict(msg_or_type)  # type: ignore[arg-type]
            buffers = buffers or message.get("buffers", ())
        else:
            message = self.msg(msg_or_type, content, parent, header, metadata)
        if self.link is not None:
            self._send_message(self.link, stream, message, [_flat(buffer) for buffer in buffers or ()])
        # What is on the link has been copied.
        message["tracker"] = DONE
        return message

    def _send_message(self, link: Link, channel: Channel, message: dict[str, Any], buffers: list[Bytes]) -> None:
        kind = message["header"]["msg_type"]
        parent = _text_or_none(extract_header(message["parent_header"] or {}).get("msg_id"))
        if channel.name in ("shell", "control") and kind.endswith("_reply"):
            self.reply(parent, message["content"], message["metadata"])
            return
        content = message["content"]
        if kind == "stream" and content.get("name") in ("stdout", "stderr"):
            self.flush_streams()
            text = without_halves(json.encoder.encode_basestring_ascii(str(content["text"]))[1:-1])
            link.send({"kind": "stream", "name": content["name"], "parent": parent}, text.encode("ascii"))
        else:
            envelope = {"kind": "publish", "type": kind, "parent": parent}
            if kind.startswith("comm_") and isinstance(content.get("comm_id"), str):
                # Whoever sends it by hand may put anything there; the gateway only follows comms with proper names.
                envelope["comm_id"] = content["comm_id"]
                if kind == "comm_open":
                    envelope["target_name"] = str(content.get("target_name", ""))
            if self.publish is None:
                self.flush_streams()
                link.send(envelope, pack(content), pack(message["metadata"]), *buffers)
            else:
                self.publish(envelope, pack(content), pack(message["metadata"]), *buffers)
        interrupts.deliver()


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flat(buffer: Bytes) -> Bytes:
    """`buffer` as plain bytes, without a copy where that is possible. Raises ValueError if it has gaps."""
    view = memoryview(buffer)
    if not view.contiguous:
        raise ValueError("A buffer of a message must be contiguous.")
    return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes("A")
