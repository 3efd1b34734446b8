"""The standard's own examples survive a trip through our wire types."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.kernel import encode
from hub.ocpi import wire221 as wire

EXAMPLES = Path(os.environ.get("HUB_TEST_DATA", "")) / "ocpi" / "2.2.1"
INVALID = {"location_put_example_add_evse.json", "tariff_put_example.json"}
"""Examples that lack fields which the standard itself requires (requirements T-L5)."""

TYPES: dict[str, Any] = {
    "cdr_example": wire.Cdr,
    "credentials_example": wire.Credentials,
    "location_energymix": wire.EnergyMix,
    "location_example": wire.Location,
    "location_hours": wire.Hours,
    "location_put_example_add_evse": wire.Evse,
    "session_example": wire.Session,
    "tariff_": wire.Tariff,
    "tariffrestriction": wire.Tariff,
    "token_example": wire.Token,
    "token_put": wire.Token,
    "type_displaytext": wire.DisplayText,
}


def _cases() -> list[Any]:
    if "HUB_TEST_DATA" not in os.environ:
        skipped = pytest.mark.skip(reason="HUB_TEST_DATA is unset: the standard's examples")
        return [pytest.param(Path(), wire.Cdr, marks=skipped, id="examples")]
    return [
        pytest.param(path, kind, id=path.stem)
        for path in sorted(EXAMPLES.glob("*.json"))
        for prefix, kind in TYPES.items()
        if path.name.startswith(prefix)
    ]


@pytest.mark.parametrize(("path", "kind"), _cases())
def test_an_example_of_the_standard_is_read_and_written_back_equal(path: Path, kind: Any) -> None:
    body = path.read_bytes()
    plain = msgspec.json.decode(body)
    if kind is wire.EnergyMix:
        body = encode(plain["energy_mix"])
    if path.name in INVALID:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=kind)
        return
    listed = isinstance(msgspec.json.decode(body), list)
    decoded = msgspec.json.decode(body, type=list[kind] if listed else kind)
    assert msgspec.json.decode(encode(decoded)) == msgspec.json.decode(body)


def test_T_C7_absent_and_null_are_the_same_and_stay_absent() -> None:
    text = b'{"language":"nl","text":"hoi","extra":1}'
    assert encode(msgspec.json.decode(text, type=wire.DisplayText)) == text[:-11] + b"}"
    price = msgspec.json.decode(b'{"excl_vat":1.10,"incl_vat":null}', type=wire.Price)
    assert encode(price) == b'{"excl_vat":1.10}'


def test_T_C5_numbers_are_exact_and_may_come_as_text() -> None:
    price = msgspec.json.decode(b'{"excl_vat":"0.1","incl_vat":0.30}', type=wire.Price)
    assert encode(price) == b'{"excl_vat":0.1,"incl_vat":0.30}'
