"""What a handler answers, however it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from falcon import Response
from pydantic import BaseModel

from controller.precondition import tag

JSON = "application/json"


class Answer(NamedTuple):
    """A value, the text of one, a stream of bytes, or nothing (204)."""

    body: BaseModel | str | Iterable[bytes] | None = None
    status: int = 200
    location: str | None = None
    revision: int = 0
    """Of the thing in the body, for its ETag; 0 where the body is not one thing."""
    media_type: str = JSON
    headers: Mapping[str, str] = {}

    def send(self, response: Response) -> None:
        """Put it into the response. A stream is closed when it has ended, if it can be."""
        response.status = self.status
        if self.location:
            response.set_header("Location", self.location)
        if self.revision:
            response.set_header("ETag", tag(self.revision))
        for name, value in self.headers.items():
            response.set_header(name, value)
        if self.body is None:
            return
        response.content_type = self.media_type
        if isinstance(self.body, BaseModel):
            response.text = self.body.model_dump_json() + "\n"
        elif isinstance(self.body, str):
            response.text = self.body + "\n" if self.media_type is JSON else self.body
        else:
            response.stream = self.body
