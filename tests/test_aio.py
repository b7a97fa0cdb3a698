import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import procsup
from procsup import aio
from procsup.host.attached import CancelToken
from tests.support.projects import LIMIT_S, PROGRAMS, ROOT
from tests.support.sittings import Supervised, result


@pytest.fixture
def untouched():
    """Check that signals and the default executor are left alone by what the test does."""
    handlers = {signum: signal.getsignal(signum) for signum in signal.Signals}

    yield

    assert {signum: signal.getsignal(signum) for signum in signal.Signals} == handlers


@pytest.fixture(params=["hears SIGTERM", "ignores SIGTERM"])
def host(request):
    """This program, which may ignore the signal by which it asks its runs to end."""
    if request.param == "hears SIGTERM":
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


def gated(gate, name, *options):
    return [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), name, *options]


async def meet(gate, name):
    """Wait for a unit on a thread, so that the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, gate.meet, name)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_runs_units_and_maps_are_awaited_side_by_side(gate, untouched):
    Path("run.toml").write_text('[stage.s]\ncommand = ["true"]\n')

    async def main():
        return await asyncio.gather(
            aio.run("run.toml", progress="none"),
            aio.run_units([["true"]], progress="none"),
            aio.map(["echo"], ["a", "b"], progress="none"),
        )

    manifests = asyncio.run(main())

    assert [len(manifest.units) for manifest in manifests] == [1, 1, 2]


def test_errors_are_raised_where_they_are_awaited(gate, untouched):
    async def main():
        with pytest.raises(procsup.RunFileError):
            await aio.run("nowhere.toml")
        with pytest.raises(procsup.UsageError, match="timout"):
            await aio.run_units([], timout=3)
        with pytest.raises(procsup.RunFailed):
            await aio.map(["false"], ["a"], progress="none")
        assert not (await aio.run_units([["false"]], progress="none", check=False)).ok

    asyncio.run(main())


@pytest.mark.parametrize("progress", ["none", type])
def test_cancelling_stops_the_run_and_leaves_no_process(gate, host, untouched, progress):
    async def main():
        task = asyncio.ensure_future(
            aio.run_units([gated(gate, "a", "--daemon")], name="n", progress=progress)
        )
        pids = [(await meet(gate, name)).pid for name in ("a", "a-daemon")]
        pids.append(procsup.queries.status.read_status(_found("n")).owner.pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(map(is_gone, pids))

    import procsup.queries.status

    asyncio.run(main())


def _found(name):
    from procsup.queries.view import find_run

    return find_run(name, os.curdir)


def test_a_second_cancellation_kills_what_does_not_want_to_end(gate, host, untouched):
    async def main():
        unit = gated(gate, "a", "--ignore-term")
        task = asyncio.ensure_future(aio.run_units([unit], grace="1h", name="n", progress="none"))
        visitor = await meet(gate, "a")
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=0.4)  # further apart than one press
        assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_gone(visitor.pid)

    asyncio.run(main())


def test_a_timeout_stops_the_run_too(gate, host, untouched):
    async def main():
        task = asyncio.ensure_future(aio.map(gated(gate, "a"), ["x"], args=[], progress="none"))
        visitor = await meet(gate, "a")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task, 0.01)
        assert is_gone(visitor.pid)

    asyncio.run(main())


def test_a_cancellation_is_heard_however_early_it_comes(gate, host, untouched, monkeypatch):
    Path("run.toml").write_text(f"[stage.s]\ncommand = {json.dumps(gated(gate, 'never'))}\n")
    started = threading.Event()
    watch = CancelToken._attach

    def tie_and_tell(self, child):
        watch(self, child)
        started.set()

    monkeypatch.setattr(CancelToken, "_attach", tie_and_tell)

    async def main():
        task = asyncio.ensure_future(aio.run("run.toml", progress="none"))
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        task.cancel()  # its interpreter has hardly begun
        done, _ = await asyncio.wait({task}, timeout=LIMIT_S)
        assert done
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_cancelling_while_a_generator_of_units_blocks_ends_at_once(gate, host, untouched):
    fed, release, closed = threading.Event(), threading.Event(), threading.Event()

    def units():
        try:
            fed.set()
            release.wait(LIMIT_S)
            yield ["touch", "made"]
        finally:
            closed.set()

    async def main(function):
        task = asyncio.ensure_future(function(units()))
        await asyncio.get_running_loop().run_in_executor(None, fed.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), LIMIT_S)
        assert not closed.is_set()
        release.set()
        assert await asyncio.get_running_loop().run_in_executor(None, closed.wait, LIMIT_S)

    for function in (lambda them: aio.run_units(them, progress="none"), aio.start_units):
        for event in (fed, release, closed):
            event.clear()
        asyncio.run(main(function))

    assert not os.path.exists("made")
    assert not os.path.exists(".procsup")


def test_many_may_wait_and_the_default_executor_stays_free(tmp_path, monkeypatch, untouched):
    monkeypatch.chdir(tmp_path)
    runs = [Supervised(tmp_path / str(number)).begin(f"r{number}") for number in range(50)]
    names = [str(run.rundir.path) for run in runs]
    before = threading.active_count()

    async def main():
        loop = asyncio.get_running_loop()
        waits = [asyncio.ensure_future(aio.wait_for(name)) for name in names]
        for _again in range(20):  # those who give up and ask again cost no thread each
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(aio.wait_for(names[0]), 0.01)
        assert threading.active_count() - before <= 110
        assert await asyncio.wait_for(loop.run_in_executor(None, lambda: 7), LIMIT_S) == 7
        for run in runs:
            run.publish(result(0))
        manifests = await asyncio.wait_for(asyncio.gather(*waits), LIMIT_S)
        assert [m.run_id for m in manifests] == [f"r{number}" for number in range(50)]

    asyncio.run(main())


def test_a_wait_has_its_own_limit_and_checks(tmp_path, monkeypatch, untouched):
    monkeypatch.chdir(tmp_path)
    run = Supervised(tmp_path).begin()

    async def main():
        with pytest.raises(procsup.WaitTimeout):
            await aio.wait_for("demo", timeout="20ms")
        run.publish(result(0, code=7), status="failed")
        with pytest.raises(procsup.RunFailed):
            await aio.wait_for("demo", timeout=LIMIT_S)
        assert not (await aio.wait_for("demo", check=False)).ok

    asyncio.run(main())


def test_it_is_there_without_being_imported_by_name():
    code = "import procsup, sys; 'asyncio' in sys.modules or print(procsup.aio.run.__name__)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=str(ROOT), stdout=subprocess.PIPE, check=True
    )

    assert done.stdout.strip() == b"run"
