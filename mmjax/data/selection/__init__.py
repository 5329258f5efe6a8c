"""Which records of a source are used: conditions, duplicates, lists of uids."""
