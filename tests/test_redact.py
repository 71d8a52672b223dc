"""No planted secret survives, and nothing else is touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opslib import redact

SECRETS = {
    '{"password":"hunter2-zz"}': "hunter2-zz",
    "password=hunter2-zz&x=1": "hunter2-zz",
    r"\"token\": \"abc-secret-abc\", x": "abc-secret-abc",
    "Authorization: Bearer abcdef.ghijkl-123456": "abcdef.ghijkl",
    "postgresql://ops:s3cr3t@db.example/shop": "s3cr3t",
    "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY": "wJalrXUtnFEMI",
    "key AKIAIOSFODNN7EXAMPLE": "AKIAIOSFODNN7EXAMPLE",
    "https://hooks.slack.com/services/T000/B000/XXXXXXXX": "XXXXXXXX",
    "xoxb-123456789012-abcdef": "123456789012-abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "eyJzdWIiOiIxIn0",
    "mail taro.yamada@example.co.jp now": "taro.yamada",
    "call 090-1234-5678 today": "1234-5678",
    "tel:090-1234-5678, mobile:x": "1234-5678",
    "card 4111 1111 1111 1111 declined": "4111 1111",
    "card 4111111111111111": "41111111",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----": "MIIabc",
    "https://b.s3.amazonaws.com/k?X-Amz-Signature=deadbeef01&x=1": "deadbeef01",
    "arn:aws:iam::000000000000:secret:hunter2-zz": "hunter2-zz",
    "routing_key: 0123456789abcdef0123456789abcdef": "0123456789abcdef",
    **{f"{name}: hunter2-zz": "hunter2-zz" for name in (
        "PassWd", "passphrase", "db.pwd", "SECRET", "Api-Key", "apikey", "id_token", "Credentials", "COOKIE",
        "pa\u017f\u017fword", "to\u212aen", "credent\u0131als", "cook\u0130e",
    )},  # also in letters that only look so: the rule ignores case in all of Unicode
    'SlackSecret="arn:aws:iam::000000000000:secret:hunter2"': "hunter2",
    "SlackSecret=arn:aws:secretsmanager:us-east-1:000000000000:secret:ops/slack&password=hunter2": "hunter2",
}  # fmt: skip
PLAIN = [
    "2026-11-05 02:31:20.123 req-5f0c2e9ab714 1-6a0a0b0c-0123456789abcdef01234567",
    "update stock set qty = qty - $1 where sku = $2 -- 在庫更新",
    "1762310400000 10.11.10.1 status: 200 len: 1893 time: 0.2477829",
    "arn:aws:iam::000000000000:role/ops",
    '{"ParameterValue": "arn:aws:secretsmanager:us-east-1:000000000000:secret:ops/slack-Ab12Cd"}',
    '{"SlackSecret": "arn:aws:secretsmanager:us-east-1:000000000000:secret:ops/slack-Ab12Cd"}',
    json.dumps('{"PagerDutySecret": "arn:aws:ssm:us-east-1:000000000000:parameter/ops/pagerduty"}'),
    "slack_secret=arn:aws:secretsmanager:us-east-1:000000000000:secret:ops/slack-Ab12Cd",
    '"ClientRequestToken": "opslib-8dd1556f-alerts-delivery"',
]


@pytest.mark.parametrize(("text", "secret"), SECRETS.items())
def test_secrets_go(text: str, secret: str) -> None:
    assert secret not in redact.text(text)


@pytest.mark.parametrize("depth", range(4))
def test_secrets_go_however_deep_the_json_is_nested(depth: int) -> None:
    text: object = {"password": 'hunter2 "x" hunter3', "kept": 1}
    for _ in range(depth + 1):
        text = json.dumps(text)
    assert isinstance(text, str)
    assert "hunter" not in redact.text(text) and "kept" in redact.text(text)


@pytest.mark.parametrize("text", PLAIN)
def test_the_rest_stays(text: str) -> None:
    assert redact.text(text) == text


def test_images_are_not_touched() -> None:
    image = "data:image/svg+xml;base64,AKIAIOSFODNN7EXAMPLEpassword="
    assert redact.text(f"a {image} b") == f"a {image} b"


@given(st.text(max_size=200) | st.sampled_from(list(SECRETS)))
def test_twice_is_once(text: str) -> None:
    assert redact.text(redact.text(text)) == redact.text(text)


@pytest.mark.parametrize("most", range(5, 60))
def test_a_text_is_cut_after_it_is_redacted(most: int) -> None:
    secret = f"AKIA{'Q7' * 8}"
    assert "AKIAQ" not in redact.cut(f"the key is {secret}, and it is wrong", most)
