"""`make bench`: what the device costs, in one run, as medians and ratios. No time here is asserted by a test.

Each measurement runs in a process of its own, so that none pays for another's imports or memory. The machine is named,
since times do not carry over to another; counts, bytes and ratios mostly do.
"""
