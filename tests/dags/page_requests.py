"""Asks the real Airflow application for pages, in this process, and prints its answers as JSON.

A program of its own: importing Airflow changes a process. Reads from stdin a JSON object with `password` and `paths`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient


def answer(client: TestClient, path: str, **request: Any) -> dict[str, Any]:
    response = client.get(path, follow_redirects=False, **request)
    return {
        "status": response.status_code,
        "headers": dict(response.headers),
        "body": response.text,
    }


def main() -> None:
    asked = json.load(sys.stdin)
    with TestClient(create_app(apps="core")) as client:
        said = client.post("/auth/token", json={"username": "admin", "password": asked["password"]})
        token = said.json()["access_token"]
        ways: dict[str, dict[str, Any]] = {
            "nobody": {},
            "forged": {"headers": {"Authorization": f"Bearer {token[:-4]}abcd"}},
            "bearer": {"headers": {"Authorization": f"Bearer {token}"}},
            "cookie": {"cookies": {"_token": token}},
        }
        answers = {way: {path: answer(client, path, **how) for path in asked["paths"]} for way, how in ways.items()}
        plugins = client.get("/api/v2/plugins", headers=ways["bearer"]["headers"]).json()["plugins"]
    sys.__stdout__.write("\n" + json.dumps({"answers": answers, "plugins": plugins}) + "\n")


if __name__ == "__main__":
    main()
