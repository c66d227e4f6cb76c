"""Measuring an echo: load, latencies and their spread, for any peer that gives messages back."""
