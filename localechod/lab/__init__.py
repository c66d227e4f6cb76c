"""The article's scenes, claims and questions, run live: what was claimed, what happened, and why.

An experiment knows what its claim foretells and what is known to happen. It runs in a directory of
its own with processes of its own, and says what it saw; a claim holds where that is what it
foretold. What it saw and did not expect is a surprise: of this program, or of this machine.
"""
