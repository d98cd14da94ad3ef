"""Who may send how much, and whose turn it is. What is refused here is refused with a time to come back."""
