"""A client of the controller's application, without a server between."""

from __future__ import annotations

from typing import Any

from werkzeug.test import Client


def client_of(app: Any) -> Client:
    """A client of a WSGI application."""
    return Client(app)
