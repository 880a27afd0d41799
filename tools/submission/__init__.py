"""Write and check zips for test servers, each of which has a different format."""
