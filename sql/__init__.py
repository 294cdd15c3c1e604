"""The queries of the pipeline, one statement per file; run only by `pipeline.engine.query`."""
