"""The demo: toy data, and pictures of what its model predicts."""
