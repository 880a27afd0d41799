"""Analysis of runs and models: curves of logs, projection features."""
