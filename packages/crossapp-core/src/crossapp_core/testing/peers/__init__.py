"""
Built-in counterparts: the other side of the bridge, in memory.
"""
