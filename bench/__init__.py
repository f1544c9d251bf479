"""What `./dev bench` measures: our code against the least that could do the same work, in one run.

Only ratios are judged, because machines differ and one machine's speed drifts. Nothing here is installed.
"""
