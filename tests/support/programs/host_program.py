"""A program that uses procsup as a library, without a ``__main__`` guard: host_program.py WAY.

It has a child and signal handlers of its own, and says ``untouched`` if procsup left them alone.
WAY is plain, thread, asyncio, twisted or ipython; the run is done there in each of its forms.
"""

import os
import signal
import subprocess
import sys
import threading

import procsup

UNITS = [[sys.executable, "-S", "-c", "print(1)"]] * 3
# Of the names on Windows, two are console events and no signals.
SIGNALS = set(signal.Signals) & signal.valid_signals() - {
    getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")
}
FOREIGN = [sys.executable, "-S", "-c", "import sys; sys.stdin.read(); sys.exit(7)"]


def on_child(signum, frame):
    """A handler of the program's own."""


def manners():
    found = {signum: signal.getsignal(signum) for signum in SIGNALS}
    if threading.current_thread() is threading.main_thread():
        found["wakeup"] = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(found["wakeup"])
    if hasattr(signal, "pthread_sigmask"):
        found["mask"] = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return found


def use_the_library():
    manifest = procsup.run_units(UNITS, progress="none", name=f"u{os.urandom(4).hex()}")
    assert len(manifest.units) == 3
    assert procsup.map([*UNITS[0]], ["a"], args=[], progress="none").ok
    assert procsup.run("run.toml", progress="none", fresh=True).ok
    with procsup.start("run.toml", fresh=True) as run:
        assert list(run.events())[-1] == procsup.RunEnded("succeeded")
    try:
        with procsup.start("run.toml", fresh=True) as run:
            raise KeyError
    except KeyError:
        pass
    assert run.status().state in ("unfinished", "succeeded")


def plain():
    use_the_library()


def thread():
    failed = []

    def work():
        try:
            use_the_library()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=lambda: procsup.run_units(UNITS, progress="none"))]
    threads.append(threading.Thread(target=work))
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed, failed


def in_asyncio():
    import asyncio

    from procsup import aio

    async def main():
        child = await asyncio.create_subprocess_exec(*FOREIGN, stdin=subprocess.PIPE)
        before = manners()
        await asyncio.gather(
            aio.run_units(UNITS, progress="none"),
            aio.map(UNITS[0], ["a"], args=[], progress="none"),
        )
        await asyncio.get_running_loop().run_in_executor(None, use_the_library)
        assert manners() == before
        child.stdin.close()
        assert await child.wait() == 7

    asyncio.run(main())


def in_twisted():
    from twisted.internet import defer, protocol, reactor, threads

    ended = defer.Deferred()

    class Foreign(protocol.ProcessProtocol):
        def processEnded(self, reason):
            ended.callback(reason.value.exitCode)

    found = []

    @defer.inlineCallbacks
    def main():
        try:
            other = Foreign()
            reactor.spawnProcess(other, FOREIGN[0], FOREIGN, env=dict(os.environ))
            before = manners()
            yield threads.deferToThread(use_the_library)
            assert manners() == before
            other.transport.closeStdin()
            found.append((yield ended))
        finally:
            reactor.stop()

    reactor.callWhenRunning(main)
    reactor.run()
    assert found == [7], found


def in_ipython():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.user_ns["use_the_library"] = use_the_library
    shell.run_cell("use_the_library(); done = True").raise_error()
    assert shell.user_ns["done"]
    code = "import procsup, sys\nm = procsup.map([sys.executable, '-S', '-c', ''], 'ab', args=[])"
    cell = shell.run_cell(code.replace("'ab'", "['a', 'b']").replace("])", "], progress='none')"))
    cell.raise_error()
    assert shell.user_ns["m"].ok


WAYS = {
    "plain": plain,
    "thread": thread,
    "asyncio": in_asyncio,
    "twisted": in_twisted,
    "ipython": in_ipython,
}

if hasattr(signal, "SIGCHLD") and sys.argv[2:] == ["handler"]:
    signal.signal(signal.SIGCHLD, on_child)
elif hasattr(signal, "SIGCHLD") and sys.argv[2:] == ["ignored"]:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
foreign = subprocess.Popen(FOREIGN, stdin=subprocess.PIPE)
before, threads_before = manners(), threading.active_count()
WAYS[sys.argv[1]]()
if sys.argv[1] not in ("twisted", "ipython"):  # these handle signals themselves
    assert manners() == before
foreign.stdin.close()
status = foreign.wait()
assert status == (0 if sys.argv[2:] == ["ignored"] else 7), status
print("untouched")
