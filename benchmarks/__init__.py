"""
How fast it is: each line against what it can't or needn't beat. `python -m benchmarks` prints the table.
"""
