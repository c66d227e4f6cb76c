"""Measuring the throughput and the latencies of any echo server."""
