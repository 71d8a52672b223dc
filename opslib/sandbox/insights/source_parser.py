"""What reads beside the events of a query: SOURCE, subqueries, join and lookup tables."""

from opslib.sandbox.insights.commands import Join, Lookup, Selection
from opslib.sandbox.insights.expression_parser import ExpressionParser
from opslib.sandbox.insights.syntax import Command, Comparison, Field, Node, Subquery

_MOST = {"nameprefix": 5, "accountidentifier": 20, "class": 1}
_CLASSES = ("STANDARD", "INFREQUENT_ACCESS")


class SourceParser(ExpressionParser):
    """Reads the parts of a query that name other places."""

    _depth = 0

    def pipeline(self) -> tuple[Command, ...]:
        """Step over commands with pipes between them."""
        raise NotImplementedError

    def subquery(self) -> Subquery:
        """Step over `(SOURCE 'group' | …)`."""
        start = self.expect("(").start
        if self._depth:
            raise self.refused("queries inside of subqueries are not in the language", self.next)
        self.expect_word("source")
        groups = [self.expect_kind("string").value]
        while self.accept(","):
            groups.append(self.expect_kind("string").value)
        self._depth += 1
        commands = self.pipeline() if self.accept("|") else ()
        self._depth -= 1
        return Subquery(tuple(groups), commands, start=start, end=self.expect(")").end)

    def selection(self) -> Selection:
        """Step over `SOURCE logGroups(…)` at the head of a query."""
        start = self.next.start
        self.expect_word("source")
        if self.next.kind == "string":
            raise self.refused("SOURCE with the name of a group is not documented at the head of a query", self.next)
        self.expect_word("loggroups")
        self.expect("(")
        parts: dict[str, tuple[str, ...]] = {}
        while not self.at(")"):
            if parts:
                self.expect(",")
            name = self.take()
            if name.word not in _MOST or name.word in parts:
                raise self.refused(f"{name.text!r} in logGroups() is not modelled", name)
            self.expect(":")
            parts[name.word] = self._strings(_MOST[name.word])
        end = self.expect(")").end
        classes = parts.get("class", ("STANDARD",))
        if classes[0] not in _CLASSES:
            raise self.refused(f"the log class {classes[0]!r} is unknown", self.next)
        return Selection(parts.get("nameprefix", ()), parts.get("accountidentifier", ()), classes, start=start, end=end)

    def _strings(self, most: int) -> tuple[str, ...]:
        opening = self.expect("[")
        found = [self.expect_kind("string").value]
        while self.accept(","):
            found.append(self.expect_kind("string").value)
        self.expect("]")
        if len(found) > most:
            raise self.refused(f"at most {most} values may stand here", opening)
        return tuple(found)

    def lookup(self, start: int) -> Lookup:
        """Step over what follows `lookup`."""
        table = self.field().name
        keys = [self._pair()]
        while self.accept(","):
            keys.append(self._pair())
        overwrites = self.expect_word("output", "outputnew") == "output"
        outputs = [self._pair()]
        while self.accept(","):
            outputs.append(self._pair())
        named = tuple((column, field.name) for column, field in outputs)
        return Lookup(table, tuple(keys), named, overwrites, start=start, end=self.ended)

    def _pair(self) -> tuple[str, Field]:
        column = self.field()
        return column.name, self.field() if self.accept_word("as") else column

    def join(self, start: int) -> Join:
        """Step over what follows `join`."""
        if self._depth:
            raise self.refused("join inside of a subquery is not modelled", self.next)
        options: dict[str, str] = {}
        while word := self.accept_word("type", "left", "right"):
            self.expect("=")
            options[word] = self.field().name
        kind = options.get("type", "inner").lower()
        if kind not in {"inner", "left"} or not {"left", "right"} <= options.keys():
            raise self.refused("join takes type=inner or left, left=a and right=b", self.next)
        if options["left"] == options["right"] or "." in options["left"] + options["right"]:
            raise self.refused("the two sides of a join need two plain names", self.next)
        self.expect_word("where")
        pairs = self._equalities(options["left"], options["right"])
        query = self.subquery()
        return Join(kind == "left", options["left"], options["right"], pairs, query, start=start, end=self.ended)

    def _equalities(self, left: str, right: str) -> tuple[tuple[Field, Field], ...]:
        found: list[tuple[Field, Field]] = []
        while not found or self.accept_word("and"):
            node = self._comparison()
            sides = _sides(node)
            if left in sides and right in sides:
                found.append((sides[left], sides[right]))
            else:
                raise self.refused(f"a join compares {left}.field = {right}.field", node)
        return tuple(found)


def _sides(node: Node) -> dict[str, Field]:
    if not isinstance(node, Comparison) or node.sign != "=":
        return {}
    fields = [side for side in (node.left, node.right) if isinstance(side, Field) and len(side.parts) > 1]
    return {field.parts[0]: Field(field.parts[1:], start=field.start, end=field.end) for field in fields}
