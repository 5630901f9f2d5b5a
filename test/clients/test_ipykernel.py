"""What user code and libraries reach for in an IPython kernel: the same here as in a real ipykernel."""

from __future__ import annotations

import json
from pathlib import Path

from support.case import KernelCase, main
from support.client import start_kernel, stop_kernel
from support.oracle import OracleCase
from support.subject import scratch


class Surface(OracleCase):
    """Values and messages, compared with ipykernel's in the same environment."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for client in (cls.client, cls.oracle):
            client.execute("ip = get_ipython(); k = ip.kernel; app = k.parent; import sys, os, warnings")
            client.execute("warnings.simplefilter('ignore')")

    def test_programs_recognise_a_notebook(self) -> None:
        self.both_values("""
            ip.__class__.__name__
            type(ip).__module__
            'ipykernel.zmqshell' in sys.modules
            'IPKernelApp' in ip.config
            type(k).__name__, type(k).__module__
            type(app).__name__, type(app).__module__
            type(sys.stdout).__name__, type(sys.stdout).__module__
            type(sys.stderr).__module__.startswith('ipykernel.')
            'ipykernel_launcher' in sys.argv[0], os.path.exists(sys.argv[0]), sys.argv[1]
            os.path.exists(sys.argv[2])
            isinstance(sys.stdout, __import__('ipykernel.iostream', fromlist=['x']).OutStream)
            __name__, sys.modules['__main__'].__dict__ is globals()
            {name: os.environ.get(name) for name in ('TERM', 'CLICOLOR', 'FORCE_COLOR', 'PAGER', 'MPLBACKEND')}
        """)

    def test_the_kernel_is_one_object(self) -> None:
        self.both_values("""
            type(k).initialized(), type(k).instance() is k
            __import__('ipykernel.kernelbase', fromlist=['x']).Kernel._instance is k
            __import__('ipykernel.ipkernel', fromlist=['x']).IPythonKernel.instance() is k
            __import__('ipykernel.kernelapp', fromlist=['x']).IPKernelApp.instance() is app
            k.shell is ip, ip.kernel is k, app.kernel is k, app.shell is ip
            k.user_ns is ip.user_ns, k.user_ns is globals()
            k.log is app.log
        """)

    def test_identity_and_state(self) -> None:
        self.both_values("""
            type(k.ident).__name__, len(k.ident), k.int_id
            k.implementation, k.language_info, k.help_links
            k.execution_count == ip.execution_count
            k._aborting, k.eventloop, k._allow_stdin, k.stop_on_error_timeout, k._poll_interval
            type(k._main_asyncio_lock).__name__, type(k._control_lock).__name__
            callable(k._send_abort_reply), callable(k._publish_status), callable(k._send_interrupt_children)
        """)

    def test_the_parent_message(self) -> None:
        self.both_values("""
            sorted(k.get_parent('shell')), k.get_parent('shell')['msg_type']
            sorted(k.get_parent('shell')['header']), type(k.get_parent()['header']['date']).__name__
            k.get_parent() == k.get_parent('shell') == k._parent_header == ip.get_parent() == ip.parent_header
            k._parent_ident['shell'] == [k.get_parent()['header']['session'].encode()]
            k.get_parent('control')
            ip.display_pub.parent_header == ip.displayhook.parent_header == k.get_parent()['header']
            sys.stdout.parent_header == k.get_parent()['header']
        """)
        self.both(
            "p = k.get_parent('shell')\np['content']['code'], p['metadata'], p['buffers'], p['parent_header']",
            "k.set_parent(k._parent_ident['shell'], dict(k.get_parent()), 'shell')\nprint('still here')",
        )

    def test_the_application_knows_the_connection(self) -> None:
        self.both_values("""
            app.transport, app.ip, app.name
            all([app.shell_port, app.iopub_port, app.stdin_port, app.hb_port, app.control_port]), len(app.ports)
            os.path.exists(app.abs_connection_file), os.path.exists(__import__('ipykernel').get_connection_file())
            sorted(__import__('ipykernel').get_connection_info(unpack=True))
            k.session.key == __import__('ipykernel').get_connection_info(unpack=True)['key']
            app.profile, os.path.basename(app.profile_dir.location)
            app.shell_port == __import__('ipykernel').get_connection_info(unpack=True)['shell_port']
        """)
        self.both("sorted(__import__('ipykernel').connect.get_connection_info(unpack=True))")

    def test_messages_are_sent_through_the_session(self) -> None:
        data = "{'data': {'text/plain': 'x'}, 'metadata': {}, 'transient': {}}"
        self.both(
            f"m = k.session.send(k.iopub_socket, 'display_data', {data}, parent=k.get_parent('shell'))\n"
            "sorted(m), sorted(m['header']), m['msg_type'], m['parent_header']['msg_type'], m['tracker'].done",
            "m = k.session.msg('stream', {'name': 'stdout', 'text': 'ready-made'}, parent=k.get_parent())\n"
            "k.session.send(k.iopub_socket, m);",
            "k.session.send(k.iopub_thread, 'stream', {'name': 'stdout', 'text': 'thread'}, parent=k.get_parent());",
            "k.session.send(k.iopub_socket, 'own_message', {'a': 1}, parent=k.get_parent(), buffers=[b'xy']);",
        )

    def test_send_response(self) -> None:
        self.both(
            "k.send_response(k.iopub_socket, 'stream', {'name': 'stderr', 'text': 'text'});",
            "k.send_response(k.iopub_socket, 'display_data', {'data': {}, 'metadata': {}}, channel='shell');",
            "k.send_response(k.iopub_socket, 'display_data', {'data': {}, 'metadata': {}},\n"
            "                metadata={'q': 1}, buffers=[b'b']);",
        )

    def test_frames_may_be_sent_as_they_are(self) -> None:
        message = "k.session.msg('stream', {'name': 'stdout', 'text': 'raw'}, parent=k.get_parent())"
        for socket in ("k.iopub_socket", "k.iopub_thread"):
            self.both(f"{socket}.send_multipart([b'topic', *k.session.serialize({message})])")

    def test_sockets_and_threads_have_stand_ins(self) -> None:
        self.both_values("""
            k.iopub_socket is app.iopub_socket, k.iopub_thread is app.iopub_thread, k.stdin_socket is app.stdin_socket
            k.shell_stream is None, k.control_stream is None, k.stdin_socket is None, len(k.shell_streams)
            k.iopub_thread.closed, k.iopub_thread.socket is None, k.iopub_thread.background_socket is None
            k.control_thread.is_alive(), k.control_thread.name, k.control_thread.io_loop is None
            app.shell_socket is None, app.control_socket is None, app.io_loop is k.io_loop
        """)
        self.both("import time\nk.iopub_thread.schedule(lambda: print('scheduled'))\ntime.sleep(2)")

    def test_streams_have_the_attributes_of_ipykernels(self) -> None:
        self.both_values("""
            sys.stdout.encoding, sys.stdout.errors, sys.stdout.name, sys.stderr.name, sys.stdout.topic, sys.stdout.echo
            sys.stdout.isatty(), sys.stdout.writable(), sys.stdout.readable(), sys.stdout.seekable(), sys.stdout.closed
            sys.stdout.fileno() >= 0, sys.stdout.session is k.session, sys.stdout.pub_thread is None
            sys.stdout.flush_interval, sys.stdout._is_master_process(), sys.stdout._flush_pending
            sys.__stdout__.fileno(), sys.__stderr__.fileno(), sys.stdin.read(), sys.stdin.isatty()
        """)
        self.both(
            "sys.stdout.write(b'bytes')",
            "sys.stdout.writelines(['a', 'b'])",
            "sys.stdout.reconfigure(encoding='utf8')",
            "sys.stdout.buffer",
            "sys.stdout.read()",
            "sys.stdout.parent_header['msg_id'] == k.get_parent()['msg_id']",
            "import click; click.secho('red', fg='red')",
        )

    def test_handlers_may_be_replaced_and_added(self) -> None:
        self.both_values("sorted(k.shell_handlers)\nsorted(k.control_handlers)")
        for client in (self.client, self.oracle):
            client.execute(
                "async def handle(stream, ident, parent):\n"
                "    import asyncio\n"
                "    await asyncio.sleep(0.01)\n"
                "    answer = {'status': 'ok', 'twice': 2 * parent['content']['x']}\n"
                "    k.session.send(stream, 'own_reply', answer, parent, ident=ident)\n"
                "k.shell_handlers['own_request'] = handle\n"
                "asked = []\n"
                "known = k.shell_handlers['is_complete_request']\n"
                "async def watch(stream, ident, parent):\n"
                "    asked.append(parent['content']['code'])\n"
                "    await known(stream, ident, parent)\n"
                "k.shell_handlers['is_complete_request'] = watch\n"
            )
            self.assertEqual(client.ask("own_request", {"x": 21}), {"status": "ok", "twice": 42})
            self.assertEqual(client.ask("is_complete_request", {"code": "1 +"})["status"], "invalid")
        self.both("k.shell_handlers['is_complete_request'] = known\nasked")

    def test_hooks_around_requests_are_called(self) -> None:
        self.both(
            "log = []\n"
            "k.pre_handler_hook = lambda: log.append('pre')\n"
            "k.post_handler_hook = lambda: log.append('post')",
            "log",
            "del k.pre_handler_hook, k.post_handler_hook\nlog",
            "log",
        )

    def test_work_is_put_on_the_loop(self) -> None:
        self.both_values("""
            __import__('tornado.ioloop').ioloop.IOLoop.current() is k.io_loop
            __import__('asyncio').get_event_loop() is k.io_loop.asyncio_loop, k.io_loop.asyncio_loop.is_running()
        """)
        self.both(
            "import asyncio\n"
            "k.io_loop.call_later(0.05, lambda: print('later'))\n"
            "k.io_loop.add_callback(lambda: print('soon'))\n"
            "await asyncio.sleep(2)",
            "from tornado.ioloop import PeriodicCallback\nticks = []\n"
            "timer = PeriodicCallback(lambda: ticks.append(1), 5)\ntimer.start()",
            "while len(ticks) < 3: await asyncio.sleep(0.01)\ntimer.stop()",
        )

    def test_methods_answer_in_a_cell(self) -> None:
        self.both(
            "k.do_complete('impor', 5)",
            "k.do_inspect('len', 3)['found'], sorted(k.do_inspect('len', 3)['data'])",
            "k.do_is_complete('if 1:'), k.do_history('tail', False, True, n=2)['status']",
            "r = await k.do_execute('zz = 5; print(zz)', False)\nr['status'], zz",
            "r = await k.do_execute('1/0', True)\nr['status'], r['ename']",
            "r = ip.run_cell('a1 = 3; print(a1); a1')\nr.success, r.result",
            "r = ip.run_cell('1/0', silent=True)\nrepr(r.error_in_exec)",
        )

    def test_displays_are_published_updated_and_cleared(self) -> None:
        self.both(
            "ip.display_pub.publish({'text/plain': 'a'}, {'m': 1}, transient={'display_id': 'd1'})\n"
            "ip.display_pub.publish({'text/plain': 'b'}, transient={'display_id': 'd1'}, update=True)\n"
            "ip.display_pub.publish(data={'text/plain': 'c'}, source='s')\n"
            "ip.display_pub.clear_output()\nip.display_pub.clear_output(wait=True)",
            "h = display('a', display_id=True)\nh.update('b')\ntype(h.display_id)",
            "from IPython.display import update_display\n"
            "display(1, display_id='fix')\nupdate_display(2, display_id='fix')",
            "display(1, 2, include=['text/plain'], metadata={'a': 1}, transient={'z': 1})",
            "from threading import Thread\nt = Thread(target=display, args=('of a thread',))\nt.start()\nt.join()",
        )

    def test_hooks_change_and_swallow_displays(self) -> None:
        self.both(
            "seen = []\n"
            "def hook(message):\n"
            "    seen.append(message['header']['msg_type'])\n"
            "    return message\n"
            "ip.display_pub.register_hook(hook)\n"
            "display(1)\n"
            "ip.display_pub.clear_output()\n"
            "ip.display_pub.unregister_hook(hook), ip.display_pub.unregister_hook(hook), seen",
            "swallow = lambda message: None\nip.display_pub.register_hook(swallow)\ndisplay(1)\n"
            "ip.display_pub.unregister_hook(swallow)\ndisplay(2)",
            "def mark(message):\n"
            "    message['content']['data']['text/x'] = '1'\n"
            "    return message\n"
            "ip.displayhook.register_hook(mark)",
            "5",
            "ip.displayhook.unregister_hook(mark)",
        )

    def test_payloads(self) -> None:
        self.both(
            "len?",
            "?len",
            "nosuch?",
            "%pinfo len",
            "%psource json.dumps",
            "from IPython.core import page\npage.page('text', start=3)",
            "page.page({'text/plain': 'p', 'text/html': '<b>p</b>'})",
            "ip.set_next_input('next')\nip.set_next_input('last')",
            "ip.set_next_input('instead', replace=True)",
            f"%load {Path(__file__).parent / 'support' / '__init__.py'}",
            f"%edit -x {Path(__file__).parent / 'support' / '__init__.py'}",
            "exit(keep_kernel=True)",
        )

    def test_magics_that_only_a_kernel_has(self) -> None:
        here = Path(__file__).parent / "support" / "__init__.py"
        self.both("%clear", "%cls", "%autosave 10", "%autosave 0", f"%less {here}", f"%more {here}", "%man nosuchpage")
        for client in (self.client, self.oracle):
            text = client.execute("%connect_info").stdout
            self.assertEqual(json.loads(text[: text.index("}") + 1])["transport"], "tcp")
            self.assertIn("jupyter <app> --existing", text)
        self.both_values("'qtconsole' in ip.magics_manager.magics['line']\nip.find_line_magic('subshell') is not None")

    def test_notebook_magic_writes_what_cells_printed(self) -> None:
        for client in (self.client, self.oracle):
            client.execute("ip.history_manager.outputs.clear()")
            count = int(client.value("ip.execution_count"))
            client.execute("print('first')\nprint('second', file=sys.stderr)\n5")
            kept = client.value(
                f"[(o.output_type, ''.join(o.bundle.get('stream', ())) or o.bundle)"
                f" for o in ip.history_manager.outputs[{count}]]"
            )
            self.assertEqual(
                kept.replace("\n", ""),
                "[('out_stream', 'first\\n'), ('err_stream', 'second\\n'), ('execute_result', {'text/plain': '5'})]",
            )


class Comms(OracleCase):
    """The comm manager and comms, as libraries that are no widgets use them."""

    def test_a_target_of_the_user_talks_with_a_client(self) -> None:
        self.both(
            "cm = get_ipython().kernel.comm_manager\n"
            "def opened(comm, message):\n"
            "    print('opened', comm.target_name, message['content']['data'])\n"
            "    def answer(m):\n"
            "        print('asked')\n"
            "        comm.send({'echo': m['content']['data']}, buffers=m['buffers'])\n"
            "    comm.on_msg(answer)\n"
            "    comm.on_close(lambda m: print('closed', m['content']['data']))\n"
            "cm.register_target('mine', opened)\n"
            "list(cm.targets), cm.comms, cm is __import__('comm').get_comm_manager()"
        )
        self.both_told("comm_open", {"comm_id": "c1", "target_name": "mine", "data": {"a": 1}})
        self.both_told("comm_msg", {"comm_id": "c1", "data": {"b": 2}}, buffers=[b"abc"])
        self.assertEqual(*(c.ask("comm_info_request") for c in (self.client, self.oracle)))
        self.both("list(cm.comms)")
        self.both_told("comm_close", {"comm_id": "c1", "data": {"z": 1}})
        self.both("cm.comms", "cm.unregister_target('mine', opened)\nlist(cm.targets)")

    def test_what_nobody_knows_is_closed(self) -> None:
        self.both_told("comm_open", {"comm_id": "u1", "target_name": "nobody", "data": {}})
        self.both_told("comm_open", {"comm_id": "u2", "target_name": "x", "target_module": "no.such", "data": {}})
        self.both_told("comm_msg", {"comm_id": "u3", "data": {}})
        self.both_told("comm_close", {"comm_id": "u3", "data": {}})

    def test_a_target_that_raises_is_closed_and_a_message_handler_that_raises_goes_on(self) -> None:
        self.both(
            "cm = get_ipython().kernel.comm_manager\n"
            "def bad(comm, message): 1 / 0\n"
            "def half(comm, message): comm.on_msg(lambda m: 1 / 0)\n"
            "cm.register_target('bad', bad); cm.register_target('half', half)"
        )
        said = self.both_told("comm_open", {"comm_id": "bad", "target_name": "bad", "data": {}})
        self.assertEqual([kind for kind, *_ in said], ["comm_close", "stream"])
        self.assertEqual(self.both_told("comm_open", {"comm_id": "half", "target_name": "half", "data": {}}), [])
        said = self.both_told("comm_msg", {"comm_id": "half", "data": {}})
        self.assertEqual(said, [["stream", "stderr", "ZeroDivisionError: division by zero"]])
        self.both("list(cm.comms)")

    def test_the_old_comm_class_still_works(self) -> None:
        self.both(
            "import warnings; warnings.simplefilter('ignore')\n"
            "from ipykernel.comm import Comm\n"
            "c = Comm(target_name='x', data={'q': 1}, metadata={'v': 2}, buffers=[b'1'])\n"
            "c.send({'a': 1}, {'m': 1}, [b'22', memoryview(b'333')])\n"
            "cm = get_ipython().kernel.comm_manager\n"
            "c.comm_id in cm.comms, c.kernel is get_ipython().kernel",
            "c.close({'bye': 1})\nc.comm_id in cm.comms, c._closed",
            "import comm\nd = comm.create_comm(target_name='y')\nd.close()\ntype(d).__module__",
        )


class Configuration(KernelCase):
    """Arguments, configuration files and start-up files: as `ipython kernel` takes them."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = scratch("profile")
        profile = cls.folder / "profile"
        (profile / "startup").mkdir(parents=True)
        (profile / "startup" / "10-first.py").write_text("from_startup = [__name__]\n", encoding="utf-8")
        (profile / "startup" / "20-second.ipy").write_text("%alias shout echo LOUD %s\n", encoding="utf-8")
        (profile / "ipython_kernel_config.py").write_text(
            "c = get_config()\n"
            f"import sys; sys.path.insert(0, {str(cls.folder)!r})\n"
            "c.InteractiveShellApp.extensions = ['own_extension']\n"
            "c.IPKernelApp.exec_lines = ['from_file = 1']\n"
            "c.InlineBackend.rc = {'figure.dpi': 41}\n"
            "c.IPCompleter.greedy = True\n",
            encoding="utf-8",
        )
        (cls.folder / "own_extension.py").write_text(
            "def load_ipython_extension(shell): shell.push({'from_extension': 2})\n", encoding="utf-8"
        )
        arguments = [
            f"--profile-dir={profile}",
            "--HistoryManager.hist_file=:memory:",
            "--InteractiveShell.xmode=Plain",
        ]
        arguments.append("--IPKernelApp.exec_lines=from_argument = 3")
        cls.manager, cls.client = start_kernel(extra_arguments=arguments)
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def test_start_up_files_and_extensions_are_run(self) -> None:
        self.assertEqual(self.client.value("from_startup, from_extension"), "(['__main__'], 2)")
        self.assertEqual(self.run_ok("shout it").stdout.strip(), "LOUD it")

    def test_arguments_win_over_the_file(self) -> None:
        self.assertEqual(self.client.value("from_argument, 'from_file' in globals()"), "(3, False)")
        self.assertEqual(self.client.value("get_ipython().InteractiveTB.mode"), "'Plain'")

    def test_settings_of_the_file_hold(self) -> None:
        self.assertEqual(self.client.value("get_ipython().Completer.greedy"), "True")
        self.assertIn("figure.dpi", self.client.value("get_ipython().config.InlineBackend.rc"))
        self.assertIn(str(self.folder), self.client.value("get_ipython().profile_dir.location"))


if __name__ == "__main__":
    main()
