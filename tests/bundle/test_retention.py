"""The rules that the page on retention gives are ones that a store takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import boto3  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from tests.services import Services

PAGE = Path(__file__).parents[2] / "docs" / "retention.md"


def rules() -> list[dict[str, object]]:
    """Return the page's rules: for S3, for Google, for Azure."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [json.loads(block) for block in blocks]


def test_s3_takes_the_rules(services: Services) -> None:
    """They are read back as they were written, and cover what they name."""
    client = boto3.client(
        "s3",
        endpoint_url=services.s3_endpoint,
        aws_access_key_id=services.s3_access_key,
        aws_secret_access_key=services.s3_secret_key,
        region_name="us-east-1",
    )
    bucket = "retention"
    client.create_bucket(Bucket=bucket)
    try:
        wanted = rules()[0]
        client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration=wanted
        )
        found = client.get_bucket_lifecycle_configuration(Bucket=bucket)
        assert found["Rules"] == wanted["Rules"]
    finally:
        client.delete_bucket(Bucket=bucket)


def test_the_other_rules_are_json() -> None:
    """Google's and Azure's cannot be tried here; they say the same as Amazon's."""
    amazon, google, azure = map(json.dumps, rules())
    assert '"Days": 60' in amazon
    assert '"age": 60' in google
    assert '"daysAfterModificationGreaterThan": 60' in azure
    assert '"code/"' in google
    assert '"container/code/"' in azure
