"""Alerts: the CloudFormation templates of alarms and of their delivery, and the code of the notifier Lambdas."""
