"""The Python version of the compiled part: a module for each of its sources, same interface.

accept.py is _fastpath_accept.c, datagrams.py is _fastpath_datagrams.c, flow.py is _fastpath_flow.c,
poller.py is _fastpath_poller.c and _fastpath_turn.c, proof.py is _fastpath_proof.c, table.py is
_fastpath_table.c, totals.py is _fastpath_totals.c. Of _fastpath_answer.c there is no version here:
connections (stream/) can answer all messages, and the compiled part answers the ordinary ones for
them.
"""
