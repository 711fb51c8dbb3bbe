"""How often a network may halve its images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MOST = 16
"""Of a side of 65,536 pixels, 16 halvings leave one: no image of today permits more."""

Halvings = Annotated[int, Field(ge=1, le=MOST)]
