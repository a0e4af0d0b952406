"""Studies and audits: from images to stored results."""
