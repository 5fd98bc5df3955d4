"""Settings from files: ``NAME_FILE`` names a file that holds the value of ``NAME``, as Docker has it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class SecretFiles(PydanticBaseSettingsSource):
    """Reads every field of a settings class that has such a variable.

    Raises:
        ValidationError: a file cannot be read, or its setting is given in both ways.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self._faults: list[InitErrorDetails] = []

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the base class asks for it
        """The content of a field's file without the white space around it, or None where none is named."""
        variable = f"{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if not path:
            return None, field_name, False
        if os.environ.get(field_name.upper()):
            self._refuse(variable, f"It is set beside {field_name.upper()}; set one of the two.")
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None, field_name, False
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            self._refuse(variable, f"The file {path} cannot be read: {why}.")
            return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every value that is there, by field."""
        read = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        if self._faults:
            raise ValidationError.from_exception_data(self.settings_cls.__name__, self._faults)
        return {name: value for name, value in read.items() if value is not None}

    def _refuse(self, variable: str, message: str) -> None:
        error = PydanticCustomError("secret_file", "{message}", {"message": message})
        self._faults.append(InitErrorDetails(type=error, loc=(variable,), input=None))
