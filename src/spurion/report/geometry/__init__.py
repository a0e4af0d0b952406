"""What a report says and draws of geometry: readings by training size, orders, tables, limits."""
