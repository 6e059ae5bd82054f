"""
All decisions of a granter, over a session.
"""
