"""Object storage: corpora that lie at an address are fetched, run folders are published to one."""
