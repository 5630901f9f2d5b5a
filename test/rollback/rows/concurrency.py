"""Locks, queues, threads, processes and sockets."""

from row import Group, Row

THREADS = Group(
    "Locks, queues, threads",
    imports="import concurrent.futures, functools, queue, sched, threading, time, weakref",
    rows=(
        Row("Lock and RLock", "x = threading.Lock(); r = threading.RLock(); r.acquire()", "x.acquire(); r.release()", "not x.locked() and r._is_owned()", works="x.acquire(False) and r.release() is None", brief=True),
        Row("Event and Condition", "x = threading.Event(); c = threading.Condition(); c.acquire()", "x.set(); c.release()", "not x.is_set() and c._is_owned()", works="x.set() is None and x.wait(5)"),
        Row("Semaphore and Barrier", "x = threading.BoundedSemaphore(2); x.acquire(); b = threading.Barrier(2)", "x.acquire(); b.abort()", "x._value == 1 and not b.broken", works="x.release() is None and b.parties == 2"),
        Row("threading.local", "x = threading.local(); x.a = [1]", "x.a.append(2); x.b = 3", "x.a == [1] and not hasattr(x, 'b')", part="x.a", works="setattr(x, 'b', 4) is None", brief=True),
        Row("Queue", "x = queue.Queue(2); x.put([1])", "x.queue[0].append(2); x.put(3); x.get()", "list(x.queue) == [[1]] and x.unfinished_tasks == 1", part="x.queue[0]", works="x.get(timeout=5) == [1] and x.task_done() is None", brief=True),
        Row("PriorityQueue, LifoQueue, SimpleQueue", "x = queue.PriorityQueue(); x.put((2, 'b')); l = queue.LifoQueue(); l.put(1); s = queue.SimpleQueue(); s.put('s')", "x.put((1, 'a')); x.get(); l.put(2); s.get()", "x.queue == [(2, 'b')] and l.queue == [1] and s.qsize() == 1", works="s.get(timeout=5) == 's' and x.get(timeout=5) == (2, 'b')"),
        Row("thread that has ended", "box = []; x = threading.Thread(target=box.append, args=(1,)); x.start(); x.join()", "x.name = 'renamed'; box.append(2)", "box == [1] and not x.is_alive() and x.name != 'renamed'", works="x.join() is None"),
        Row("thread that was not started", "box = []; x = threading.Thread(target=box.append, args=(1,))", "x.start(); x.join()", "box == [] and x.ident is None", works="x.start() is None and x.join(10) is None and box == [1]"),
        Row("ThreadPoolExecutor that has not begun", "x = concurrent.futures.ThreadPoolExecutor(1)", "x.submit(int).result(); x.shutdown()", "not x._shutdown and len(x._threads) == 0", works="x.submit(lambda: 7).result(timeout=10) == 7 and x.shutdown() is None"),
        Row("scheduler", "ran = []; x = sched.scheduler(time.monotonic, time.sleep); x.enter(0, 1, ran.append, (1,))", "x.run(); x.enter(9, 1, print)", "ran == [] and len(x.queue) == 1", part="x.queue[0]", works="x.run() is None and ran == [1]"),
        Row("Timer that was not started", "x = threading.Timer(30, print)", "x.start(); x.cancel(); x.join()", "x.ident is None and not x.finished.is_set()", works="x.cancel() is None and x.finished.is_set()"),
    ),
)

PROCESSES = Group(
    "Processes, pipes, sockets",
    imports="import multiprocessing, multiprocessing.shared_memory, os, selectors, signal, socket, subprocess, sys, time",
    rows=(
        Row("child process and its pipes", "x = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)", "x.args = None; x.extra = 1", "x.args == ['cat'] and not hasattr(x, 'extra') and x.poll() is None", part="x.stdin", works="x.communicate(b'still there', timeout=10)[0] == b'still there' and x.returncode == 0", brief=True),
        Row("pair of sockets", "x, other = socket.socketpair(); other.send(b'before')", "x.settimeout(3); other.send(b' failed')", "x.gettimeout() is None and x.fileno() > 0 and x.recv(6) == b'before'", works="x.send(b'z') == 1 and other.recv(1) == b'z' and other.close() is x.close()", brief=True),
        Row("listening socket", "x = socket.create_server(('127.0.0.1', 0)); port = x.getsockname()", "x.settimeout(1); x.listen(9)", "x.gettimeout() is None and x.getsockname() == port", works="socket.create_connection(port).close() is x.close()"),
        Row("port that the failed cell bound", "free = socket.create_server(('127.0.0.1', 0)); port = free.getsockname()[1]; free.close(); x = []", "x.append(socket.create_server(('127.0.0.1', port)))", "x == []", works="socket.create_server(('127.0.0.1', port)).close()"),
        Row("socket that the failed cell closed", "x, other = socket.socketpair()", "x.close(); other.close()", "x.send(b'1') == 1", limit=r"descriptor \d+ \(socket\), which was closed"),
        Row("epoll with what it watches", "a, b = socket.socketpair(); x = selectors.EpollSelector(); key = x.register(a, selectors.EVENT_READ)", "x.unregister(a); x.register(b, selectors.EVENT_WRITE)", "list(x.get_map()) == [a.fileno()] and x.select(0) == []", part="x.get_key(a)", works="b.send(b'1') == 1 and x.select(5)[0][0] is key and [each.close() for each in (x, a, b)]", brief=True),
        Row("eventfd and its count", "x = os.eventfd(3, os.EFD_NONBLOCK)", "os.eventfd_read(x); os.close(x)", "os.eventfd_read(x) == 3", works="os.eventfd_write(x, 2) is None and os.eventfd_read(x) == 2 and os.close(x) is None", otherwise=r"descriptor \d+ \(eventfd\)"),
        Row("event loop of a thread", "import asyncio, threading; x = asyncio.new_event_loop(); got = []", "x.call_soon(got.append, 1); x.close()", "not x.is_closed() and got == [] and len(x._ready) == 0", works="t = threading.Thread(target=lambda: got.append(x.run_until_complete(asyncio.sleep(0.01, 'slept')))); t.start(); t.join(10); x.close()\nassert got == ['slept']"),
        Row("socket with a client of its own", "s = socket.create_server(('127.0.0.1', 0)); x = socket.create_connection(s.getsockname()); peer, _ = s.accept()", "x.settimeout(0.5); peer.settimeout(2)", "x.gettimeout() is None", works="x.sendall(b'hello') is None and peer.recv(5) == b'hello' and [each.close() for each in (s, x, peer)]"),
        Row("os.pipe by its descriptors", "x = list(os.pipe())", "os.write(x[1], b'from the failed cell'); x.append('spoiled')", "len(x) == 2", works="os.read(x[0], 4) == b'from' and os.close(x[0]) is os.close(x[1])"),
        Row("selector with what it watches", "a, b = socket.socketpair(); x = selectors.SelectSelector(); key = x.register(a, selectors.EVENT_READ, [1])", "x.unregister(a); x.register(b, selectors.EVENT_WRITE)", "list(x.get_map()) == [a.fileno()]", part="x.get_key(a)", works="b.send(b'1') == 1 and x.select(5)[0][0] is key and [each.close() for each in (x, a, b)]"),
        Row("multiprocessing.Value and Array", "x = multiprocessing.Array('i', 4); v = multiprocessing.Value('d', 1.5)", "x[0] = 7; v.value = 2; x.extra = 1", "list(x) == [0] * 4 and not hasattr(x, 'extra') and v.value == 1.5", part="x.get_obj()", works="x.__setitem__(0, 5) is None and x[0] == 5"),
        Row("multiprocessing.Lock, Semaphore, Event", "x = multiprocessing.Lock(); s = multiprocessing.Semaphore(2); e = multiprocessing.Event()", "x.acquire(); s.acquire(); e.set()", "s.get_value() == 2 and not e.is_set() and x.acquire(False)", works="x.release() is None and s.acquire(False)"),
        Row("shared memory by its name", "from multiprocessing import shared_memory; x = shared_memory.SharedMemory(create=True, size=64); x.buf[:4] = b'kept'", "x.buf[:4] = b'gone'", "bytes(x.buf[:4]) == b'kept'", works="x.close() is x.unlink()"),
        Row("memory that a child process has, too", "x = multiprocessing.Value('i', 5); p = multiprocessing.get_context('fork').Process(target=time.sleep, args=(2,)); p.start()", "x.value = 6", "x.value == 5", limit="memory that is shared with another process"),
        Row("multiprocessing.Pipe", "x, other = multiprocessing.Pipe()", "x.extra = 1", "not hasattr(x, 'extra') and not x.closed", works="x.send({'a': 1}) is None and other.recv() == {'a': 1} and x.close() is other.close()"),
        Row("CompletedProcess", "x = subprocess.run(['echo', 'hi'], capture_output=True)", "x.stdout = b'changed'; x.args.append('more')", "x.stdout == b'hi\\n' and x.args == ['echo', 'hi']", part="x.args", works="x.check_returncode() is None"),
    ),
)

GROUPS = (THREADS, PROCESSES)
