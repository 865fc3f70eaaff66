"""What tests share: signals to wait on, child processes, what is left behind."""
