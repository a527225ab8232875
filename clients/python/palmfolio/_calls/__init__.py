"""Every call of the protocol as data: what is sent, to which method, and how the answer is read.

The sync and the asyncio client hand these to their transports and add nothing, which is what keeps
the two in step. `call` has the classes, the other modules have the calls of one service each.
"""
