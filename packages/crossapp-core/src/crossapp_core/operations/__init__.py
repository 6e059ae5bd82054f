"""
All decisions about links, over a session.
"""
