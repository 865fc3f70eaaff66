"""Coverage-guided fuzzing of the local SQS and of what reads answers; run by `make fuzz`, not by pytest."""
