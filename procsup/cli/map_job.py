"""The units that a command line of `procsup map` asks for."""

from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import click
from msgspec.structs import replace

from procsup.cli.map_halt import read_halt
from procsup.cli.map_inputs import Inputs, Shape
from procsup.cli.map_outputs import OutputsMaker
from procsup.core.inputs import Group, Record, Room, fill_commands, flatten, group_records, spread
from procsup.core.late import MARKS
from procsup.core.quantities import count_jobs
from procsup.core.text import make_harmless, make_visible, quote_word
from procsup.host.machine import make_capacity
from procsup.host.names import find_script, get_argument_limits
from procsup.host.shells import get_native_shell
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.oneliner import (
    ArgvMaker,
    Manner,
    ShellMaker,
    Text,
    Values,
    WholeMaker,
    is_parameter,
    read_words,
)
from procsup.runfile.templates.template import double_braces
from procsup.runfile.units.command import count_argument_bytes, explain_too_long
from procsup.runfile.units.tables import shorten

Maker = Union[ArgvMaker, ShellMaker, WholeMaker]

_SURELY_FITS = 10_000  # characters of the inputs of one unit
_NUL_PROBLEM = (
    "its input holds a NUL character, which no argument can hold: -0 reads inputs that end with NUL"
)


class MapOptions(NamedTuple):
    """The options of `procsup map`."""

    jobs: Optional[str]
    name: Optional[str]
    directory: Optional[str]
    keep_order: bool
    line_buffer: bool
    tag: bool
    no_output: bool
    bar: bool
    timeout: Optional[str]
    delay: Optional[str]
    memfree: Optional[str]
    load: Optional[str]
    retries: Optional[int]
    shell: bool
    files: Tuple[str, ...]
    glob: Optional[str]
    null: bool
    delimiter: Optional[str]
    no_run_if_empty: bool
    colsep: Optional[str]
    csv: bool
    header: Optional[str]
    link: bool
    most: Optional[int]
    most_in_place: Optional[int]
    spread: bool
    xargs: bool
    replacement: str
    plus: bool
    pipe: bool
    block: Optional[str]
    halt: Optional[str]
    joblog: Optional[str]
    results: Optional[str]
    outputs: Tuple[str, ...]
    resume: bool
    fresh: bool
    dry_run: bool
    as_run_file: bool
    quiet: bool
    as_json: bool

    def make_settings(self, jobs: Optional[int]) -> Dict[str, Any]:
        """Return the options that become settings of the plan."""
        further = None if self.retries is None else self.retries - 1
        given = {"jobs": jobs, "timeout": self.timeout, "retries": further}
        pace = _leave_out_none(delay=self.delay, memory=self.memfree, load=self.load)
        halt = {} if self.halt is None else read_halt(self.halt)
        return {**_leave_out_none(**given), **({"pace": pace} if pace else {}), **halt}

    @property
    def making(self) -> Tuple[Any, ...]:
        """The options that decide what becomes of an input."""
        groups = (self.most, self.most_in_place, self.spread, self.xargs)
        words = (self.shell, self.replacement, self.plus, self.outputs)
        return (*self.shape, *groups, *words, self.pipe, self.block)

    @property
    def shape(self) -> Shape:
        """How the sources are read."""
        return Shape(
            self.delimiter,
            self.null,
            self.colsep,
            self.csv,
            self.header is not None,
            self.link,
            self.no_run_if_empty,
        )

    @property
    def group_size(self) -> int:
        """The most inputs of a unit; 0: each unit has one, which is not filled in."""
        one = self.most_in_place if self.most_in_place is not None else self.most
        return 1 if one is None else one

    @property
    def is_open(self) -> bool:
        """Whether a unit takes as many inputs as fit."""
        return self.spread or self.xargs


def _leave_out_none(**given: Any) -> Dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


class Job(NamedTuple):
    """What is run: `script` is a Python file whose arguments `maker` makes.

    `outputs`, if there is one, makes the paths of a unit's outputs; `take_part` returns the name of
    its part of stdin.
    """

    maker: Maker
    units: Iterable[Values]
    names: Sequence[str]  # of columns
    script: Optional[str]
    jobs: Optional[int]
    is_short: bool  # all inputs are there, and they are few
    outputs: Optional[OutputsMaker] = None
    total: int = 0  # of the units, if the command has it
    fills_in: bool = True  # whether inputs are filled in
    take_part: Optional[Callable[[int], str]] = None

    def make_values(self, inputs: Record, number: int) -> Values:
        """Return what the unit of these inputs is made of."""
        return Values(inputs if self.fills_in else (), number, self.total, inputs)

    def show(self, values: Values) -> str:
        """Return the command of a unit as a line; a text for a shell as it is."""
        if not isinstance(self.maker, ArgvMaker):
            return make_harmless(self.maker.make_text(values).replace(MARKS["slot"], "{%}"))
        head = [] if self.script is None else ["python", self.script]
        argv = [*head, *self.maker.make(values)]
        return " ".join(quote_word(word.replace(MARKS["slot"], "{%}")) for word in argv)

    def make_tables(self) -> Iterator[Dict[str, Any]]:
        """Yield the units as a plan has them.

        A unit whose inputs cannot be arguments has a shortened form, and says why (`unfit`).
        """
        limits = get_argument_limits()
        for values in self.units:
            problem = _NUL_PROBLEM if any("\0" in text for text in values.label) else ""
            if not problem and sum(map(len, values.label)) > _SURELY_FITS:
                problem = explain_too_long(self.maker.make(values), limits)
            if problem:
                label = tuple(map(_shorten, values.label))
                values = replace(values, texts=label if values.texts else (), label=label)
            table = {**self._make_table(values), "label": " ".join(values.label)}
            yield {**table, "unfit": problem} if problem else table

    def _make_table(self, values: Values) -> Dict[str, Any]:
        argv = self.maker.make(values)
        table: Dict[str, Any] = {"parameters": self._make_parameters(values)}
        if any("\0" in word for word in argv):
            argv = [double_braces(word).replace(MARKS["slot"], "{slot}") for word in argv]
            table["late"] = True
        table["argv" if self.script is None else "args"] = argv
        if self.outputs is not None:
            table["outputs"] = self.outputs.make(values)
        if self.take_part is not None:
            table["piped"] = self.take_part(values.number)
        return table

    def make_row(self, values: Values) -> Dict[str, Text]:
        """Return the parameters of a unit as a run file has them."""
        outputs = {} if self.outputs is None else self.outputs.make_row(values)
        return {**outputs, **self.maker.make_row(values)}

    def _make_parameters(self, values: Values) -> Dict[str, Any]:
        texts = list(values.label)
        if self.names and len(texts) == len(self.names):
            return dict(zip(self.names, texts))
        return {"input": texts[0] if len(texts) == 1 else texts}


def _shorten(text: str) -> str:
    return shorten(make_visible(text), text)


def make_job(written: Sequence[str], inputs: Inputs, options: MapOptions) -> Job:
    """Return the units; UsageError if a placeholder is wrong."""
    try:
        script = None if options.shell or not written else find_script(written[0])
        words = list(written[1:] if script is not None else written)
        maker, has_total = _make_maker(words, inputs, options)
        outputs = make_outputs_maker(_make_manner(inputs, options), options)
    except Wrong as wrong:
        text = "; ".join(message for _, message in wrong.faults)
        raise click.UsageError(text) from None
    slots = count_slots(options)
    jobs = None if options.jobs is None else slots
    units: Iterable[Values] = _make_units(_group(inputs, options, maker, slots or 1), options)
    has_total = has_total or (outputs is not None and outputs.has_total)
    total = 0
    if has_total or jobs == 0:
        listed = list(units)
        total = len(listed)
        units = [replace(one, total=total) for one in listed]
        jobs = max(total, 1) if jobs == 0 else jobs
    own = [name for name in inputs.names if is_parameter(name)]
    names = own if len(own) == len(inputs.names) else ()
    is_short = inputs.is_short or isinstance(units, list)
    fills_in = options.group_size > 0
    return Job(maker, units, names, script, jobs, is_short, outputs, total, fills_in)


def _make_maker(words: Sequence[str], inputs: Inputs, options: MapOptions) -> Tuple[Maker, bool]:
    if options.shell and not words:
        return WholeMaker(get_native_shell()), False
    manner = _make_manner(inputs, options)
    read = read_words(words, manner)
    has_total = any(place.which == "##" for place in read.places.values())
    several = _takes_several(manner.most, options)
    if options.shell:
        return ShellMaker(read, get_native_shell(), several=several), has_total
    repeats = options.spread or options.most_in_place is not None
    return ArgvMaker(read, repeats=repeats, several=several), has_total


def make_outputs_maker(manner: Manner, options: MapOptions) -> Optional[OutputsMaker]:
    """Return what makes the outputs of units, if they have some; `Wrong` as `read_words`."""
    if not options.outputs:
        return None
    return OutputsMaker(options.outputs, manner, several=_takes_several(manner.most, options))


def _make_manner(inputs: Inputs, options: MapOptions) -> Manner:
    most = None if inputs.width is None else inputs.width * max(options.group_size, 1)
    return Manner(options.replacement, options.plus, inputs.names, most, is_open=options.is_open)


def _takes_several(most: Optional[int], options: MapOptions) -> bool:
    return options.is_open or options.group_size == 0 or most != 1


def count_slots(options: MapOptions) -> int:
    """Return how many units may run at once; 0: all."""
    cpus = int(make_capacity(cpus=None, memory_bytes=None, jobs=None).cpus)
    if options.jobs is None:
        return cpus
    try:
        return count_jobs(options.jobs, cpus)
    except ValueError as error:
        raise click.UsageError(f"--jobs: {error}") from None


def _group(inputs: Inputs, options: MapOptions, maker: Maker, slots: int) -> Iterator[Group]:
    most = options.group_size
    if not options.is_open:
        return group_records(inputs.records, max(most, 1))
    has_most = options.most is not None or options.most_in_place is not None
    groups = fill_commands(inputs.records, _make_room(maker, max(most, 1) if has_most else None))
    return spread(groups, slots) if options.spread else groups


def _make_room(maker: Maker, most: Optional[int]) -> Room:
    limits = get_argument_limits()
    whole = limits.total if isinstance(maker, ArgvMaker) else limits.one
    largest = 10**9  # of a unit's number

    def count(record: Sequence[str]) -> int:
        return count_argument_bytes(maker.make(Values(tuple(record), largest)))

    empty = count(())
    return Room(whole - empty, lambda record: count(record) - empty, most or whole)


def _make_units(groups: Iterable[Group], options: MapOptions) -> Iterator[Values]:
    for number, group in enumerate(groups, 1):
        texts = flatten(group)
        yield Values(texts if options.group_size else (), number, label=texts)
