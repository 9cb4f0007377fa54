"""Rigs that tests and campaigns share: real file systems on block devices that lose power, fail, fill and stall."""
