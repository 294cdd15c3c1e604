import pickle

from pipeline.engine.spill import close_sent


class OtherProcess:
    """Runs parts as a cluster does: task, works and results are pickled, and files closed."""

    sites = 3
    beside = 2

    def __init__(self):
        self.ran = 0

    def in_order(self, task, works):
        """Yield task(work) for each work."""
        sent = pickle.loads(pickle.dumps(task))  # noqa: S301
        for work in works:
            self.ran += 1
            yield pickle.loads(pickle.dumps(sent(pickle.loads(pickle.dumps(work)))))  # noqa: S301
            close_sent()
