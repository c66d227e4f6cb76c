"""The scenes, claims and questions of a tutorial about local sockets, as experiments.

The tutorial, in Chinese, is "07 | What? 还有本地套接字?": "What? Local sockets, too?"

An experiment has a claim of the tutorial and the result that is expected on Linux. It runs in a
private directory with processes of its own, and reports what it observed. The claim holds if the
observation is what the claim predicts. An observation that differs from the expected result is a
surprise: a fault of this program, or a property of this machine.
"""
