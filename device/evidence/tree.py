"""The Merkle tree of RFC 6962, section 2.1: leaves are payload bytes, hashed as they come.

`MerkleTree` keeps one hash for each complete subtree, so memory is the logarithm of the number of leaves. `Paths` keeps
all of them, and gives the inclusion path (section 2.1.1) of any leaf; `root_by_path` is what the one who has only that
path computes. No I/O.
"""

import hashlib
from collections.abc import Iterable, Sequence

from device.errors import EvidenceError

EMPTY_ROOT = hashlib.sha256(b"").hexdigest()


class MerkleTree:
    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        node = _leaf(leaf)
        complete = self.size
        while complete & 1:
            node = _node(self._subtrees.pop(), node)
            complete >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> str:
        """The root of what was appended so far, in hex. Appending may go on."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = _node(left, node)
        return node.hex()


MAX_PATH = 64
"""Hashes in a path: a tree of any size that is counted in 64 bits has no longer one."""


class Paths:
    """The inclusion paths of a whole tree's leaves, which are given as payload bytes, at least one.

    Level by level, pairs are hashed, and one that is left over goes up as it is: the tree of the definition.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = [[_leaf(leaf) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = [_node(below[n], below[n + 1]) for n in range(0, len(below) - 1, 2)]
            self._levels.append(pairs + below[len(below) - len(below) % 2 :])

    def root(self) -> str:
        return self._levels[-1][0].hex()

    def path(self, index: int) -> tuple[str, ...]:
        """Of the leaf with this number, from 0: the hashes beside its way up, in hex, from the leaf to the root."""
        path = []
        for level in self._levels[:-1]:
            beside = index ^ 1
            if beside < len(level):
                path.append(level[beside].hex())
            index >>= 1
        return tuple(path)


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[str]) -> str:
    """The root, in hex, of the tree with so many leaves in which this leaf has this number and this path.

    `EvidenceError` when no such tree has a path like this. A tree that has that root holds that leaf at that place.
    """
    if not 0 <= index < size or len(path) > MAX_PATH:
        raise EvidenceError(f"no tree of {size} leaves has a leaf {index} with a path of {len(path)} hashes")
    node, last, hashes = _leaf(leaf), size - 1, iter(path)
    try:
        while last > 0:
            if index & 1:
                node = _node(_hash(next(hashes)), node)
            elif index < last:
                node = _node(node, _hash(next(hashes)))
            index, last = index >> 1, last >> 1
    except StopIteration:
        raise EvidenceError("an inclusion path that ends too soon") from None
    if next(hashes, None) is not None:
        raise EvidenceError("an inclusion path that goes on past the root")
    return node.hex()


def _hash(text: str) -> bytes:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise EvidenceError("an inclusion path that holds what is no hash")
    return bytes.fromhex(text)


def _leaf(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
