"""The Merkle tree of RFC 6962: the roots of Certificate Transparency's reference tests, and the definition itself."""

import contextlib
import hashlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import EvidenceError
from device.evidence.tree import MerkleTree, Paths, root_by_path

# certificate-transparency's merkle_tree_test and transparency-dev/merkle's testonly: eight leaves, and the root of the
# first n of them.
LEAVES = [
    b"",
    bytes.fromhex("00"),
    bytes.fromhex("10"),
    bytes.fromhex("2021"),
    bytes.fromhex("3031"),
    bytes.fromhex("40414243"),
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_the_reference_tests(size: int) -> None:
    tree = MerkleTree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    assert (tree.size, tree.root()) == (size, ROOTS[size])


def test_a_root_may_be_asked_for_in_between() -> None:
    tree = MerkleTree()
    roots = [tree.root()]
    for leaf in LEAVES:
        tree.append(leaf)
        roots.append(tree.root())
    assert roots == ROOTS


def _by_definition(leaves: list[bytes]) -> bytes:
    """Section 2.1, word for word: MTH of D[n], k the largest power of two smaller than n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + _by_definition(leaves[:k]) + _by_definition(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_any_tree_is_the_one_of_the_definition(leaves: list[bytes]) -> None:
    tree = MerkleTree()
    for leaf in leaves:
        tree.append(leaf)
    assert tree.root() == _by_definition(leaves).hex()


def _path_by_definition(index: int, leaves: list[bytes]) -> list[str]:
    """Section 2.1.1, word for word: PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*_path_by_definition(index, leaves[:k]), _by_definition(leaves[k:]).hex()]
    return [*_path_by_definition(index - k, leaves[k:]), _by_definition(leaves[:k]).hex()]


@pytest.mark.parametrize("size", range(1, 65))
def test_every_path_of_every_small_tree_is_the_one_of_the_definition(size: int) -> None:
    leaves = [b"leaf %d" % n for n in range(size)]
    paths, root = Paths(leaves), _by_definition(leaves).hex()
    assert paths.root() == root
    for index in range(size):
        assert list(paths.path(index)) == _path_by_definition(index, leaves)
        assert root_by_path(leaves[index], index, size, paths.path(index)) == root


@pytest.mark.parametrize("seed", range(8))
def test_a_path_proves_one_leaf_at_one_place_in_a_large_tree(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randrange(65, 2000)
    leaves = [chance.randbytes(8) for _ in range(size)]
    paths = Paths(leaves)
    for index in chance.sample(range(size), 4):
        path = paths.path(index)
        assert root_by_path(leaves[index], index, size, path) == paths.root()
        assert root_by_path(b"another", index, size, path) != paths.root()
        assert _places(leaves[index], size, paths, path) == {index}


def _places(leaf: bytes, size: int, paths: Paths, path: tuple[str, ...]) -> set[int]:
    """Where this path puts this leaf under the tree's root."""
    places = set()
    for index in range(size):
        try:
            root = root_by_path(leaf, index, size, path)
        except EvidenceError:
            continue
        places |= {index} if root == paths.root() else set()
    return places


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (-1, 4, ()),
        (4, 4, ()),
        (0, 0, ()),
        (0, 1, ("00" * 32,)),
        (0, 4, ("00" * 32,)),
        (0, 4, ("00" * 32,) * 3),
        (0, 4, ("00" * 32, "no hash")),
        (0, 4, ("00" * 33, "00" * 31)),
        (0, 4, ("AA" * 32, "00" * 32)),
        (0, 2**64, ("00" * 32,) * 65),
    ],
)
def test_a_path_that_no_tree_has_is_refused(index: int, size: int, path: tuple[str, ...]) -> None:
    with pytest.raises(EvidenceError):
        root_by_path(b"leaf", index, size, path)


@given(st.integers(), st.integers(), st.lists(st.text(max_size=70), max_size=70))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_path_gives_a_root_or_our_error(index: int, size: int, path: list[str]) -> None:
    with contextlib.suppress(EvidenceError):
        assert len(root_by_path(b"leaf", index, size, path)) == 64
