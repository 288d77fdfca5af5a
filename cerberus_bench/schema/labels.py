"""The label ontology: one tree a task, label spaces cut from it, and total maps into it.

A label space is what one dataset or one model can say. Two spaces meet at the finest partition
that both can express (`common_partition`), so a model trained on one label set can be scored on
another without pretending.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

IGNORE = "ignore"
"""Target of a source class that no task uses."""


@dataclass(frozen=True, slots=True)
class Node:
    """One class of the ontology."""

    id: str
    parent: str | None
    name: str
    colour: str
    """Display colour, #rrggbb."""
    cell_ontology: str | None = None
    """Cell Ontology id, where one exists."""


def _tree(*nodes: Node) -> dict[str, Node]:
    return {node.id: node for node in nodes}


ONTOLOGY: Mapping[str, Mapping[str, Node]] = {
    "nuclei": _tree(
        Node("cell", None, "Cell", "#808080", "CL:0000000"),
        Node("epithelial", "cell", "Epithelial", "#e03131", "CL:0000066"),
        Node("neoplastic", "epithelial", "Neoplastic epithelial", "#c2255c"),
        Node("non_neoplastic", "epithelial", "Non-neoplastic epithelial", "#f76707"),
        Node("goblet", "non_neoplastic", "Goblet", "#ffc078", "CL:0000160"),
        Node("inflammatory", "cell", "Inflammatory", "#1971c2", "CL:0000738"),
        Node("neutrophil", "inflammatory", "Neutrophil", "#f59f00", "CL:0000775"),
        Node("lymphocyte", "inflammatory", "Lymphocyte", "#1c7ed6", "CL:0000542"),
        Node("plasma", "inflammatory", "Plasma cell", "#22b8cf", "CL:0000786"),
        Node("eosinophil", "inflammatory", "Eosinophil", "#f06595", "CL:0000771"),
        Node("macrophage", "inflammatory", "Macrophage", "#845ef7", "CL:0000235"),
        Node("connective", "cell", "Connective", "#2f9e44", "CL:0002320"),
        Node("fibroblast", "connective", "Fibroblast", "#37b24d", "CL:0000057"),
        Node("endothelial", "connective", "Endothelial", "#94d82d", "CL:0000115"),
        Node("muscle", "connective", "Muscle", "#12b886", "CL:0000187"),
        Node("dead", "cell", "Dead", "#495057"),
        Node("mitotic", "cell", "Mitotic", "#ae3ec9"),
        Node("signet_ring", "cell", "Signet ring", "#212529"),
        Node("other", "cell", "Other", "#adb5bd"),
    ),
    "gland": _tree(
        Node("glandular", None, "Glandular", "#2b8a3e"),
        Node("gland", "glandular", "Gland", "#2b8a3e"),
        Node("benign", "gland", "Benign gland", "#2f9e44"),
        Node("malignant", "gland", "Malignant gland", "#c92a2a"),
        Node("surface_epithelium", "glandular", "Surface epithelium", "#1864ab"),
    ),
    "lumen": _tree(Node("lumen", None, "Lumen", "#212529")),
    "tissue": _tree(
        Node("tissue", None, "Tissue", "#808080"),
        Node("background", "tissue", "Background", "#f1f3f5"),
        Node("abnormal_epithelium", "tissue", "Abnormal epithelium", "#c92a2a"),
        Node("normal_epithelium", "tissue", "Normal epithelium", "#f08c00"),
        Node("inflammatory_tissue", "tissue", "Inflammatory tissue", "#1971c2"),
        Node("muscle_tissue", "tissue", "Muscle", "#099268"),
        Node("stroma", "tissue", "Stroma", "#5f3dc4"),
        Node("debris", "tissue", "Debris", "#868e96"),
        Node("mucus", "tissue", "Mucus", "#3bc9db"),
        Node("adipose", "tissue", "Adipose", "#ffd43b"),
    ),
    "signet_ring": _tree(Node("signet_ring_cell", None, "Signet ring cell", "#212529")),
}
"""Task -> node id -> node. Each tree has one root."""


def ancestors(task: str, node: str) -> tuple[str, ...]:
    """The node and all nodes above it, bottom up."""
    chain = []
    current: str | None = node
    while current is not None:
        chain.append(current)
        current = ONTOLOGY[task][current].parent
    return tuple(chain)


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The classes that one dataset or model distinguishes in a task.

    Class indices are one-based for instances (0 = no class) and zero-based for tissue patches,
    as in the published network.
    """

    task: str
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = [name for name in self.classes if name not in ONTOLOGY[self.task]]
        if unknown:
            raise ValueError(f"{unknown} are not in the {self.task} ontology")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"duplicate class in {self.classes}")

    def index(self, node: str) -> int:
        """One-based index of a class."""
        return self.classes.index(node) + 1


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A total map from the codes of a source to ontology nodes (or `IGNORE`)."""

    task: str
    nodes: Mapping[int | str, str]
    """Source code -> node id or `IGNORE`."""

    def __post_init__(self) -> None:
        for code, node in self.nodes.items():
            if node != IGNORE and node not in ONTOLOGY[self.task]:
                raise ValueError(f"{code!r} maps to {node!r}, not in the {self.task} ontology")

    @property
    def space(self) -> LabelSpace:
        """The label space that the map reaches, in the order of its codes."""
        return LabelSpace(
            self.task, tuple(dict.fromkeys(n for n in self.nodes.values() if n != IGNORE))
        )

    def index(self, code: int | str) -> int:
        """One-based class index of a source code in `space`; 0 for ignored codes.

        Raises:
            KeyError: the map does not know the code (maps are total, so the source is not what
                the spec says).
        """
        node = self.nodes[code]
        return 0 if node == IGNORE else self.space.index(node)


@dataclass(frozen=True, slots=True)
class Partition:
    """How two label spaces meet: the classes that both can express."""

    task: str
    cells: tuple[str, ...]
    """The common classes, finest first found in ontology order."""
    truth: tuple[int, ...]
    """For each class index of the dataset (0 = none first): one-based cell, 0 where left out."""
    prediction: tuple[int, ...]
    """The same for the model."""
    truth_only: tuple[str, ...]
    """Dataset classes that the model cannot express."""
    prediction_only: tuple[str, ...]
    """Model classes that the dataset cannot express."""


def common_partition(truth: LabelSpace, prediction: LabelSpace) -> Partition:
    """The finest partition of a task's classes that two label spaces can both express.

    A space can express a node if it has a class at or below it and none strictly above it. The
    root alone is no partition: it says nothing about classes, unless the task has only a root.
    """
    if truth.task != prediction.task:
        raise ValueError(f"label spaces of {truth.task} and {prediction.task} do not meet")
    task = truth.task
    shared = [n for n in _nodes(task) if _expresses(truth, n) and _expresses(prediction, n)]
    cells = tuple(n for n in shared if not any(n in ancestors(task, o)[1:] for o in shared))
    to_truth, to_prediction = _roll_up(truth, cells), _roll_up(prediction, cells)
    return Partition(
        task,
        cells,
        to_truth,
        to_prediction,
        tuple(c for c, cell in zip(truth.classes, to_truth[1:], strict=True) if not cell),
        tuple(c for c, cell in zip(prediction.classes, to_prediction[1:], strict=True) if not cell),
    )


def _nodes(task: str) -> Iterable[str]:
    tree = ONTOLOGY[task]
    return [n.id for n in tree.values() if n.parent is not None or len(tree) == 1]


def _expresses(space: LabelSpace, node: str) -> bool:
    above = set(ancestors(space.task, node)[1:])
    below = any(node in ancestors(space.task, c) for c in space.classes)
    return below and not above.intersection(space.classes)


def _roll_up(space: LabelSpace, cells: tuple[str, ...]) -> tuple[int, ...]:
    def cell_of(node: str) -> int:
        chain = ancestors(space.task, node)
        return next((i for i, cell in enumerate(cells, 1) if cell in chain), 0)

    return (0, *(cell_of(c) for c in space.classes))
