"""The report of an audit: one page to read first, then the evidence."""
