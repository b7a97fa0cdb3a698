"""`--outputs` of `procsup map`: the files that each unit must make."""

from typing import Dict, List, Sequence

from msgspec.structs import replace

from procsup.core.regexes import compile_at_use
from procsup.errors import UsageError
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.oneliner import SLOT, ArgvMaker, Manner, Text, Values, read_words

_OF_A_PATTERN = compile_at_use(r"[*?\[]")


class OutputsMaker:
    """Fills in paths as it is done with the words of a command; several inputs repeat a path.

    `Wrong` if a placeholder is wrong. `several`: a unit may have more or less than one input.
    """

    def __init__(self, texts: Sequence[str], manner: Manner, *, several: bool) -> None:
        self.has_total = False
        self._makers: List[ArgvMaker] = []
        for text in texts:
            read = read_words([text], manner, appends=False)
            if SLOT in read.sources:
                raise Wrong("--outputs: {%} is not known before a unit starts")
            self.has_total |= any(place.which == "##" for place in read.places.values())
            self._makers.append(ArgvMaker(read, repeats=True, several=several))
        self._are_globs = [_is_wild(text) for text in texts]

    def make(self, values: Values) -> List[str]:
        """Return the outputs of one unit as a plan has them: inputs are no patterns in them."""
        literal = replace(values, texts=tuple(map(_escape, values.texts)))
        found: List[str] = []
        for maker, is_glob in zip(self._makers, self._are_globs):
            paths = maker.make(values)
            found += maker.make(literal) if is_glob or any(map(_is_wild, paths)) else paths
        return [f"./{path}" if path.startswith("!") else path for path in found]

    def list_texts(self) -> List[str]:
        """Return the paths as in a run file."""
        return [text for maker in self._makers for text in maker.list_texts()]

    def make_row(self, values: Values) -> Dict[str, Text]:
        """Return the parameters of one unit for `list_texts`; UsageError if a path is several."""
        found = {name: text for one in self._makers for name, text in one.make_row(values).items()}
        if any(isinstance(text, tuple) for text in found.values()):
            raise UsageError(
                "--as-run-file: a run file has no output that stands for several: name the inputs"
                " of a unit in --outputs one by one, such as {1} and {2} (-N)"
            )
        return found


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


def _escape(text: str) -> str:
    """Return a text as a pattern of an output has it: there a bracket is never plain."""
    return str(_OF_A_PATTERN.sub(r"[\g<0>]", text))
