"""Rows of one parameter each, made when they are read: a million of them take no memory."""

from typing import Any, Iterator, List, Sequence, Union, overload

from procsup.runfile.parameters.tables import Row


class Column(Sequence[Row]):
    """One parameter and its values: a sequence of rows with only that parameter."""

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self._name = name
        self._values = values

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> List[Row]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Row, List[Row]]:
        """Return the row, or rows, of that place."""
        if isinstance(index, slice):
            return [{self._name: value} for value in self._values[index]]
        return {self._name: self._values[index]}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._values)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows, each one anew."""
        return ({self._name: value} for value in self._values)
