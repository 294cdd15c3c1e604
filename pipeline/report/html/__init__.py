"""HTML that cannot be broken by data: markup, charts, assets and phrases of the page."""
