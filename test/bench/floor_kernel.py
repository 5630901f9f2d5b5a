"""A deliberately minimal kernel: single thread, raw zmq, exec()/eval(), no IPython.

It is a lower bound (the cost of transport, signing and JSON on this machine), not a product."""

import sys

sys.path.append(sys.argv[2])  # site-packages with pyzmq: started with -S
import hmac
import io
import json
import os
import signal

import zmq

info = json.load(open(sys.argv[1]))
key = info["key"].encode()
ctx = zmq.Context()
S = {}
for ch, k in (
    ("shell", zmq.ROUTER),
    ("control", zmq.ROUTER),
    ("stdin", zmq.ROUTER),
    ("iopub", zmq.PUB),
    ("hb", zmq.REP),
):
    s = S[ch] = ctx.socket(k)
    s.linger = 500
    s.rcvhwm = s.sndhwm = 0
    s.bind(f"{info['transport']}://{info['ip']}:{info[ch + '_port']}")
DELIM = b"<IDS|MSG>"
n = 0
parent = b"{}"
ids = []


def send(sock, ids, mtype, content, buffers=()):
    global n
    n += 1
    parts = [
        b'{"msg_id":"f%d","msg_type":"%s","session":"floor","username":"k","date":"2026-01-01T00:00:00Z","version":"5.4"}'
        % (n, mtype.encode()),
        parent,
        b"{}",
        json.dumps(content).encode(),
    ]
    h = hmac.new(key, b"".join(parts), "sha256").hexdigest().encode()
    sock.send_multipart([*ids, DELIM, h, *parts, *buffers])


class Out(io.TextIOBase):
    def __init__(self, name):
        self.name, self.buf, self.size = name, [], 0

    def write(self, s):
        self.buf.append(s)
        self.size += len(s)
        if self.size > 65536:
            self.flush()
        return len(s)

    def flush(self):
        if self.buf:
            send(S["iopub"], [b"stream"], "stream", {"name": self.name, "text": "".join(self.buf)})
            self.buf, self.size = [], 0


def input_(prompt=""):
    sys.stdout.flush()
    send(S["stdin"], ids, "input_request", {"prompt": prompt, "password": False})
    f = S["stdin"].recv_multipart()
    return json.loads(f[f.index(DELIM) + 5])["value"]


sys.stdout, sys.stderr = Out("stdout"), Out("stderr")
import types

_c = types.ModuleType("comm")
_c.get_comm_manager = lambda: types.SimpleNamespace(register_target=lambda *a: None)
sys.modules["comm"] = _c
ns = {"__name__": "__main__", "input": input_}
poller = zmq.Poller()
for c in ("shell", "control", "hb"):
    poller.register(S[c], zmq.POLLIN)
count = 0
signal.signal(signal.SIGINT, signal.SIG_IGN)


def status(x):
    send(S["iopub"], [b"status"], "status", {"execution_state": x})


while True:
    for sock, _ in poller.poll():
        f = sock.recv_multipart()
        if sock is S["hb"]:
            sock.send_multipart(f)
            continue
        i = f.index(DELIM)
        if not hmac.compare_digest(hmac.new(key, b"".join(f[i + 2 : i + 6]), "sha256").hexdigest().encode(), f[i + 1]):
            continue
        ids, parent = f[:i], f[i + 2]
        t = json.loads(parent)["msg_type"]
        status("busy")
        if t == "kernel_info_request":
            send(
                sock,
                ids,
                "kernel_info_reply",
                {
                    "status": "ok",
                    "protocol_version": "5.3",
                    "implementation": "floor",
                    "implementation_version": "0",
                    "banner": "",
                    "language_info": {"name": "python", "version": "3", "mimetype": "", "file_extension": ".py"},
                },
            )
        elif t == "execute_request":
            c = json.loads(f[i + 5])
            count += 1
            send(S["iopub"], [b"in"], "execute_input", {"code": c["code"], "execution_count": count})
            reply = {"status": "ok", "execution_count": count, "user_expressions": {}, "payload": []}
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                try:
                    code = compile(c["code"], "<cell>", "eval")
                except SyntaxError:
                    exec(compile(c["code"], "<cell>", "exec"), ns)
                else:
                    v = eval(code, ns)
                    if v is not None:
                        send(
                            S["iopub"],
                            [b"res"],
                            "execute_result",
                            {"data": {"text/plain": repr(v)}, "metadata": {}, "execution_count": count},
                        )
            except BaseException as e:
                reply = {
                    "status": "error",
                    "ename": type(e).__name__,
                    "evalue": str(e),
                    "traceback": [],
                    "execution_count": count,
                }
                send(S["iopub"], [b"err"], "error", {k: reply[k] for k in ("ename", "evalue", "traceback")})
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.stdout.flush()
            sys.stderr.flush()
            send(sock, ids, "execute_reply", reply)
        elif t == "comm_msg":
            send(S["iopub"], [b"comm"], "comm_msg", json.loads(f[i + 5]), f[i + 6 :])
        elif t == "comm_info_request":
            send(sock, ids, "comm_info_reply", {"status": "ok", "comms": {}})
        elif t == "shutdown_request":
            send(sock, ids, "shutdown_reply", {"status": "ok", "restart": False})
            status("idle")
            ctx.destroy(linger=200)
            os._exit(0)
        status("idle")
