"""Addresses of the AWS console, one shape a service, as AWS's documentation and the console itself write them.

Names are percent-encoded where they stand; Parameter Store alone wants its slashes encoded twice.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode


def amplify(region: str, app: str, branch: str) -> str:
    """Return the deployments of a branch."""
    return f"{_home(region)}/amplify/apps/{_part(app)}/branches/{_part(branch)}/deployments"


def cloudformation(region: str, stack: str) -> str:
    """Return the list of stacks narrowed to one, which need not be there yet."""
    shown = urlencode({"filteringText": stack, "filteringStatus": "active"})
    return f"{_home(region)}/cloudformation/home?region={region}#/stacks?{shown}"


def cloudfront(distribution: str) -> str:
    """Return the invalidations of a distribution; CloudFront is at home in us-east-1."""
    return f"{_home('us-east-1')}/cloudfront/v4/home#/distributions/{_part(distribution)}/invalidations"


def ecs(region: str, cluster: str, service: str) -> str:
    """Return the deployments of a service."""
    return f"{_home(region)}/ecs/v2/clusters/{_part(cluster)}/services/{_part(service)}/deployments?region={region}"


def logs_insights(region: str) -> str:
    """Return Logs Insights, where saved queries stand by folders at the side."""
    return f"{_home(region)}/cloudwatch/home?region={region}#logsV2:logs-insights"


def parameter(region: str, name: str) -> str:
    """Return a parameter of Parameter Store: /shop/reads stands there as %252Fshop%252Freads."""
    return f"{_home(region)}/systems-manager/parameters/{_part(_part(name))}/description?region={region}"


def rds(region: str, instance: str) -> str:
    """Return a database instance."""
    return f"{_home(region)}/rds/home?region={region}#database:id={_part(instance)};is-cluster=false"


def route53(zone: str) -> str:
    """Return the records of a hosted zone, by its bare id."""
    return f"{_home('us-east-1')}/route53/v2/hostedzones#ListRecordSets/{_part(zone)}"


def _home(region: str) -> str:
    return f"https://{region}.console.aws.amazon.com"


def _part(name: str) -> str:
    return quote(name, safe="")
