"""The measures at groups of images: which images, how they are measured, and what is said of each group."""
