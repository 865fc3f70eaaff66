"""What hadoken costs, measured on this machine: `make bench`."""
