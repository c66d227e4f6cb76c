"""A daemon of their own for other projects' tests, as a plugin for pytest.

The entry point `pytest11` loads `plugin` into every pytest session, so `plugin` imports the rest
only for a test that asks for a peer.
"""
