"""The Open University Learning Analytics Dataset (OULAD) as inputs of day-precise records, in columns."""

from lyceum.adapters.oulad.inputs import open_inputs

__all__ = ["open_inputs"]
