"""The seam to SQS: one small interface (`api`) and what implements it.

Nothing outside this package touches botocore.
"""
