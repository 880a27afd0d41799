"""Looking into runs and models: curves of logs, features."""
