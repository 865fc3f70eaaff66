"""Coverage-guided fuzzing of the local SQS; run by `make fuzz`, not by pytest."""
