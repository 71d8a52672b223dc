"""Stand-ins for Slack's incoming webhooks and PagerDuty's Events API v2: they check, keep what they get, and fail when told."""
