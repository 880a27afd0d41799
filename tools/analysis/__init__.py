"""Analyse runs and models: curves of logs, projection features, costs."""
