"""What is added to a table of ours, made ready for any engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connect.warehouses.interface import Kind, Table

if TYPE_CHECKING:
    import pyarrow


def arranged(table: Table, rows: pyarrow.Table) -> pyarrow.Table:
    """The rows with their columns in the table's order, each of the one Arrow type of its kind.

    text is string, integer int64, boolean bool, instant timestamp[us, UTC]. Raises ValueError, naming no value,
    where a column is none of the table's, or a part of the key is missing or null.
    """
    import pyarrow

    names = [name for name in table.columns if name in rows.column_names]
    if unknown := set(rows.column_names) - set(names):
        raise ValueError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    for name in table.key:
        if name not in names or rows.column(name).null_count:
            raise ValueError(f"a row for {table.name} has no {name}, which is part of its key")
    schema = pyarrow.schema([(name, _type(table.columns[name])) for name in names])
    try:
        return cast("pyarrow.Table", rows.select(names).cast(schema))
    except pyarrow.ArrowException:  # which may quote a value
        pass
    raise ValueError(f"the columns for {table.name} are not of its types")


def _type(kind: Kind) -> pyarrow.DataType:
    import pyarrow

    if kind is Kind.instant:
        return pyarrow.timestamp("us", "UTC")
    return {Kind.text: pyarrow.string(), Kind.integer: pyarrow.int64(), Kind.boolean: pyarrow.bool_()}[kind]
