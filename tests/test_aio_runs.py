"""Runs that go on beside a program on asyncio, and units from async generators."""

import asyncio
import threading
from pathlib import Path

import pytest

import procsup
from procsup import aio
from tests.lib.test_running import are_gone, write_run
from tests.support.projects import LIMIT_S
from tests.test_aio import gated, meet


def count_readers():
    return sum(thread.name == "procsup-aio" for thread in threading.enumerate())


async def until(condition):
    """Let the loop turn until it holds; the caller's test has the limit."""
    while not condition():
        await asyncio.sleep(0.01)


def test_events_come_while_the_run_goes_on(gate):
    write_run(gate, "a", "b")

    async def main():
        seen = []
        async with await aio.start("run.toml", jobs=2) as run:
            units = [await meet(gate, name) for name in ("a", "b")]
            async for event in run.events():
                seen.append(event)
                if isinstance(event, (procsup.UnitStarted, procsup.UnitEnded)) and units:
                    units.pop(0).tell("exit 0")
            assert (await run.status()).state == "succeeded"
        assert seen[-1] == procsup.RunEnded("succeeded")
        assert [type(one) for one in seen].count(procsup.UnitEnded) == 2
        assert str(run) == f"{run.dir}@{run.id}"
        return await run.wait()

    manifest = asyncio.run(asyncio.wait_for(main(), LIMIT_S))

    assert (manifest.ok, len(manifest.units)) == (True, 2)


def test_who_leaves_the_events_leaves_the_run_alone_and_no_thread_behind(gate):
    write_run(gate, "a")

    async def main():
        async with await aio.start("run.toml") as run:
            unit = await meet(gate, "a")
            for _again in range(3):
                events = run.events()
                async for _event in events:
                    break
                await events.aclose()
            await until(lambda: count_readers() == 0)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(run.wait(), 0.05)
            await run.drain()
            unit.tell("exit 0")
            assert (await run.wait(LIMIT_S)).ok

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))


def test_a_failed_run_is_raised_at_the_end_of_the_block(gate):
    async def main():
        async with await aio.start_units([["false"]], name="n"):
            pass

    with pytest.raises(procsup.RunFailed, match="0 of 1 unit succeeded") as caught:
        asyncio.run(main())

    assert caught.value.manifest.failed


def test_cancelling_the_block_stops_the_run(gate):
    pids = []

    async def main():
        async with await aio.start_units([gated(gate, "a", "--daemon")]):
            pids.extend([(await meet(gate, name)).pid for name in ("a", "a-daemon")])
            asyncio.current_task().cancel()
            await asyncio.sleep(LIMIT_S)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert are_gone(*pids)


def test_cancelling_a_stop_kills(gate):
    async def main():
        run = await aio.start_units([gated(gate, "a", "--ignore-term")], grace="1h")
        unit = await meet(gate, "a")
        task = asyncio.ensure_future(run.stop())
        done, _ = await asyncio.wait({task}, timeout=0.4)
        assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert are_gone(unit.pid)

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))


@pytest.mark.parametrize("count", [1, 250])
def test_units_and_inputs_come_from_async_generators(gate, count):
    async def generate(make):
        for number in range(count):
            await asyncio.sleep(0)
            yield make(number)

    async def main():
        ran = await aio.run_units(generate(lambda n: ["true", n]), progress="none")
        mapped = await aio.map(["true"], generate(str), progress="none")
        async with await aio.start_units(generate(lambda n: ["true", n])) as run:
            pass
        return [len(one.units) for one in (ran, mapped, await run.wait())]

    assert asyncio.run(main()) == [count, count, count]


def test_what_an_async_generator_raises_is_raised_and_nothing_is_started(gate):
    async def generate():
        raise ZeroDivisionError
        yield ["touch", "made"]

    async def main():
        with pytest.raises(ZeroDivisionError):
            await aio.run_units(generate(), progress="none")

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))

    assert not Path("made").exists()
    assert not Path(".procsup").exists()


def test_a_cancellation_reaches_an_async_generator_that_waits(gate):
    seen, units = [], []

    async def main():
        waits = asyncio.Event()

        async def generate():
            yield gated(gate, "a")
            units.append(await meet(gate, "a"))
            waits.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        task = asyncio.ensure_future(aio.run_units(generate(), progress="none"))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: seen)

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))

    assert units[0].ends_within(LIMIT_S)


def test_an_async_generator_goes_on_while_its_first_unit_runs(gate):
    async def generate():
        yield gated(gate, "a")
        first = await meet(gate, "a")
        yield gated(gate, "b")
        (await meet(gate, "b")).exit(0)
        first.exit(0)

    async def main():
        return await aio.run_units(generate(), progress="none", jobs=2)

    manifest = asyncio.run(asyncio.wait_for(main(), LIMIT_S))

    assert [unit.verdict for unit in manifest.units] == ["succeeded"] * 2


def test_a_run_that_is_over_does_not_wait_for_its_generator(gate):
    ended = []

    async def generate():
        yield ["false"]
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main():
        with pytest.raises(procsup.RunFailed):
            await aio.run_units(generate(), progress="none", on_failure="drain")
        await until(lambda: ended)

    asyncio.run(asyncio.wait_for(main(), LIMIT_S))
