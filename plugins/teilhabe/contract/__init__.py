"""What an office agreed to deliver: datasets, layouts, senders, and when it is due."""
