"""Set up a task on the folders of a user: look at them, fit settings, write a config."""
