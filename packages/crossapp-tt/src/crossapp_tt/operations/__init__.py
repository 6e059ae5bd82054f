"""
All decisions of a seller, over a session.
"""
