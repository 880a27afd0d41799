"""What several commands share: options, errors of the command line, worker processes."""
