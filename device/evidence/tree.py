"""The Merkle tree of RFC 6962, section 2.1: leaves are payload bytes, hashed as they come.

Keeps one hash for each complete subtree, so memory is the logarithm of the number of leaves.
"""

import hashlib

EMPTY_ROOT = hashlib.sha256(b"").hexdigest()


class MerkleTree:
    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        node = hashlib.sha256(b"\x00" + leaf).digest()
        complete = self.size
        while complete & 1:
            node = hashlib.sha256(b"\x01" + self._subtrees.pop() + node).digest()
            complete >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> str:
        """The root of what was appended so far, in hex. Appending may go on."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node.hex()
