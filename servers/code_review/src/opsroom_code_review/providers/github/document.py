"""GraphQL documents that are put together of parts whose number is known only at the call."""

from pydantic import JsonValue


class Document:
    """A query in the making. Values go in as variables only, so none of them can become part of the language."""

    def __init__(self, operation: str = "query") -> None:
        self._operation = operation
        self._declared: list[str] = []
        self._fields: list[str] = []
        self._fragments: dict[str, None] = {}
        self.variables: dict[str, JsonValue] = {}

    def value(self, kind: str, value: JsonValue) -> str:
        """How the fields refer to *value*, which is of the GraphQL type *kind*."""
        name = f"v{len(self.variables)}"
        self._declared.append(f"${name}: {kind}")
        self.variables[name] = value
        return f"${name}"

    def ask(self, field: str, *fragments: str) -> None:
        self._fields.append(field)
        self._fragments.update(dict.fromkeys(fragments))

    @property
    def text(self) -> str:
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        body = "\n".join(f"  {field}" for field in self._fields)
        return "\n".join([f"{self._operation}{declared} {{", body, "}", *self._fragments])
