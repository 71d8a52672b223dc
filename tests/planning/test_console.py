"""Console links: the shapes that AWS documents, names encoded so that no name leads elsewhere; every step of a plan has one."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from opslib import console

TOKYO = "ap-northeast-1"


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (console.amplify(TOKYO, "d2shop", "feature/x"), "https://ap-northeast-1.console.aws.amazon.com/amplify/apps/d2shop/branches/feature%2Fx/deployments"),
        (console.cloudformation(TOKYO, "shop-alerts"), "https://ap-northeast-1.console.aws.amazon.com/cloudformation/home?region=ap-northeast-1#/stacks?filteringText=shop-alerts&filteringStatus=active"),
        (console.cloudfront("E2SHOP"), "https://us-east-1.console.aws.amazon.com/cloudfront/v4/home#/distributions/E2SHOP/invalidations"),
        (console.ecs(TOKYO, "shop", "api"), "https://ap-northeast-1.console.aws.amazon.com/ecs/v2/clusters/shop/services/api/deployments?region=ap-northeast-1"),
        (console.logs_insights(TOKYO), "https://ap-northeast-1.console.aws.amazon.com/cloudwatch/home?region=ap-northeast-1#logsV2:logs-insights"),
        (console.parameter(TOKYO, "/shop/reads"), "https://ap-northeast-1.console.aws.amazon.com/systems-manager/parameters/%252Fshop%252Freads/description?region=ap-northeast-1"),
        (console.parameter(TOKYO, "reads"), "https://ap-northeast-1.console.aws.amazon.com/systems-manager/parameters/reads/description?region=ap-northeast-1"),
        (console.rds(TOKYO, "shop-db"), "https://ap-northeast-1.console.aws.amazon.com/rds/home?region=ap-northeast-1#database:id=shop-db;is-cluster=false"),
        (console.route53("Z0SHOP"), "https://us-east-1.console.aws.amazon.com/route53/v2/hostedzones#ListRecordSets/Z0SHOP"),
    ],
)  # fmt: skip
def test_the_shape_of_each_service(made: str, wanted: str) -> None:
    assert made == wanted


@pytest.mark.parametrize("name", ["a/../b", "x?region=evil", "x#y", "x;y=z", "日本", '"><script>'])
def test_no_name_leaves_its_place(name: str) -> None:
    for made in (
        console.amplify(TOKYO, name, name),
        console.ecs(TOKYO, name, name),
        console.cloudfront(name),
        console.rds(TOKYO, name),
        console.route53(name),
        console.parameter(TOKYO, name),
        console.cloudformation(TOKYO, name),
    ):
        told = urlsplit(made)
        assert told.hostname and told.hostname.endswith(".console.aws.amazon.com")
        assert name not in made and (name in unquote(made) or name in unquote(unquote(made)))
        assert told.query in {"", f"region={TOKYO}"}
