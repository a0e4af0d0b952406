"""The audit of one model: what is read, found, said and stored."""
