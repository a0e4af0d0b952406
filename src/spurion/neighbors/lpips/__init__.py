"""LPIPS as an embedding: its networks, where their weights come from, and the vectors they make."""
