"""Plain data: what a user gives as a parameter or variable, and finds in records."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Value = object  # a program that is type-checked must look before it uses it
else:
    Value = Any  # msgspec accepts any value
