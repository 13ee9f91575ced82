"""The least that an account of BigQuery needs: roles, as SQL and as commands where there is no SQL for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connect.warehouses.bigquery_settings import BigQuerySettings
from connect.warehouses.interface import Access

_SOMEBODY = "connect-reader"


def grants(access: Access, settings: BigQuerySettings, root: Path) -> Sequence[str]:
    return [*_grants(access, settings, f"serviceAccount:{_account(settings, root)}")]


def _grants(access: Access, settings: BigQuerySettings, who: str) -> Iterator[str]:
    project = settings.project_name
    if access.reads or access.adds or access.makes:
        yield (
            f"-- to run queries, in a shell: gcloud projects add-iam-policy-binding {project}"
            f" --member={who} --role=roles/bigquery.jobUser"
        )
    reading, writing = Access(reads=access.reads), Access(adds=access.adds, makes=access.makes)
    for role, some in (("dataViewer", reading), ("dataEditor", writing)):
        for dataset in some.schemas("") if some != Access() else ():
            yield f"grant `roles/bigquery.{role}` on schema {_schema(dataset, settings)} to '{who}'"


def _schema(dataset: str, settings: BigQuerySettings) -> str:
    name = dataset.replace("`", "") or settings.default_dataset or "the_dataset"
    return ".".join(f"`{part}`" for part in (name if "." in name else f"{settings.project_name}.{name}").split("."))


def _account(settings: BigQuerySettings, root: Path) -> str:
    """The service account of the key, where it can be read."""
    try:
        file = settings.key_file(root)
        text = settings.credentials.reveal() if settings.credentials else file.read_text() if file else "{}"
        key: Any = json.loads(text)
    except (OSError, ValueError):
        key = {}
    found = key.get("client_email") if isinstance(key, dict) else None
    return str(found or f"{_SOMEBODY}@{settings.project_name}.iam.gserviceaccount.com")
