"""Where the tasks of a study are done: one engine a file, found by its name."""
