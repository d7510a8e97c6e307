"""Faults of one operator, made in a right answer: what a reader who slips would have written.

`mutants(source)` yields what was changed and the changed source. Each differs from the original in
one place of the function's body.
"""

import ast
import copy
from collections.abc import Iterator

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
}
# What is called, and what is called instead.
NAMES = {
    "round": ("floor", "ceil", "trunc"),  # torch.round; the builtin is in CALLS
    "min": ("max",),
    "max": ("min",),
    "amax": ("amin", "mean"),
    "sum": ("mean",),
    "mean": ("sum",),
    "log2": ("log",),
    "softmax": ("log_softmax",),
    "log_softmax": ("softmax",),
    "int32": ("uint8",),
    "sqrt": ("square",),
}
CALLS = {"round": ("int",), "min": ("max",), "max": ("min",), "any": ("all",), "sorted": ("list",)}
# Methods that can be forgotten: x.abs() becomes x.
DROPPED = ("abs", "clamp", "detach", "square", "sqrt", "flatten", "requires_grad_", "normalize")


def mutants(source: str, *, gradient: bool) -> Iterator[tuple[str, str]]:
    """Yield a description and the source of every fault that can be made.

    A graph that is cut is a fault only where a gradient is asked for.
    """
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for number, node in enumerate(ast.walk(tree)):
        for changed in _changes(node):
            copied = copy.deepcopy(tree)
            place = list(ast.walk(copied))[number]
            mutated = ast.unparse(_replace(copied, place, changed))
            if mutated not in seen and (gradient or not _only_cut(node, changed)):
                seen.add(mutated)
                yield f"{ast.unparse(node)} -> {ast.unparse(changed)}", mutated


def _only_cut(node: ast.AST, changed: ast.AST) -> bool:
    return ast.unparse(changed).count(".detach()") > ast.unparse(node).count(".detach()")


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> ast.AST:
    class Swap(ast.NodeTransformer):
        def visit(self, node):
            return new if node is old else self.generic_visit(node)

    return ast.fix_missing_locations(Swap().visit(tree))


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What one node could be by mistake."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for kind in COMPARISONS.get(type(node.ops[0]), ()):
            yield _with(node, ops=[kind()])
    if isinstance(node, ast.BinOp):
        for kind in OPERATORS.get(type(node.op), ()):
            yield _with(node, op=kind())
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
        yield _with(node, op=ast.Sub() if isinstance(node.op, ast.Add) else ast.Add())
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        yield from node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield node.operand
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
        if node.value:
            yield ast.Constant(0 if node.value == 1 else node.value - 1)
    if isinstance(node, ast.Attribute):
        for name in NAMES.get(node.attr, ()):
            yield _with(node, attr=name)
    if isinstance(node, ast.Call):
        yield from _calls(node)
    if isinstance(node, ast.Return) and node.value is not None:
        yield from _returns(node)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name):
        for name in CALLS.get(node.func.id, ()):
            yield _with(node, func=ast.Name(name, ast.Load()))
        if node.func.id == "reversed":
            yield node.args[0]
    if isinstance(node.func, ast.Attribute) and node.func.attr in DROPPED:
        is_method = not (isinstance(node.func.value, ast.Name) and node.func.value.id in "F torch")
        yield node.func.value if is_method or not node.args else node.args[0]
    for number, argument in enumerate(node.args[1:], 1):
        if not isinstance(argument, ast.Starred) and len(node.args) == 2:
            yield _with(node, args=[*node.args[:number], *node.args[number + 1 :]])


def _returns(node: ast.Return) -> Iterator[ast.AST]:
    """A factor, a sign, and a graph that is cut; for each part of what is returned."""
    parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    for number, part in enumerate(parts):
        for text in ("2 * ({})", "-({})", "({}).detach()"):
            changed = ast.parse(text.format(ast.unparse(part)), mode="eval").body
            whole = [*parts[:number], changed, *parts[number + 1 :]]
            yield _with(node, value=ast.Tuple(whole, ast.Load()) if len(whole) > 1 else changed)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
