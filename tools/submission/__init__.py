"""Zips for test servers: how each wants its files, making them, checking them."""
