"""A reading as a FHIR R4 Observation: a component of sampled data per lead, and the measurements."""

from typing import Any

import numpy as np

from processing.leads import LEADS

_MDC = "urn:oid:2.16.840.1.113883.6.24"
_LOINC = "http://loinc.org"
_UCUM = "http://unitsofmeasure.org"
# ISO/IEEE 11073-10101: codes of MDC_ECG_ELEC_POTL_<lead>
_LEAD_CODES = dict(zip(LEADS, (131329, 131330, 131389, 131390, 131391, 131392, *range(131331, 131337)), strict=True))
_MEASURED = {
    "heart_rate_bpm": ("8867-4", "Heart rate", "/min"),
    "pr_ms": ("8625-6", "P-R Interval", "ms"),
    "qrs_ms": ("8633-0", "QRS duration", "ms"),
    "qt_ms": ("8634-8", "Q-T interval", "ms"),
    "qtc_fridericia_ms": ("8636-3", "Q-T interval corrected", "ms"),
    "axis_deg": ("8632-6", "QRS axis", "deg"),
}
_UNKNOWN = "E"


def observation(document: dict[str, Any], signal: np.ndarray) -> dict[str, Any]:
    """An Observation.

    Args:
        document: the JSON of the page.
        signal: (12, samples) millivolts at 500 Hz; unknown samples (NaN) become "E" in whole microvolts of data,
            leads without any sample are left out.
    """
    measured = document["measurements"] or {}
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "procedure",
                        "display": "Procedure",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": _LOINC, "code": "11524-6", "display": "EKG study"}]},
        "device": {"display": f"{document['model']['name']} {document['model']['revision']}"},
        "note": [{"text": f"Read from a picture of a page ({document['file']}); for research, not for diagnosis."}],
        "component": [
            *(_waveform(lead, values) for lead, values in zip(LEADS, signal, strict=True) if np.isfinite(values).any()),
            *(_quantity(name, measured[name]) for name in _MEASURED if measured.get(name) is not None),
        ],
    }


def _waveform(lead: str, values: np.ndarray) -> dict[str, Any]:
    microvolts = np.rint(np.nan_to_num(values) * 1000).astype(int).tolist()
    known = np.isfinite(values).tolist()
    return {
        "code": {
            "coding": [{"system": _MDC, "code": str(_LEAD_CODES[lead]), "display": f"MDC_ECG_ELEC_POTL_{lead.upper()}"}]
        },
        "valueSampledData": {
            "origin": {"value": 0, "unit": "mV", "system": _UCUM, "code": "mV"},
            "period": 2,
            "factor": 0.001,
            "dimensions": 1,
            "data": " ".join(str(value) if sure else _UNKNOWN for value, sure in zip(microvolts, known, strict=True)),
        },
    }


def _quantity(name: str, value: float) -> dict[str, Any]:
    code, display, unit = _MEASURED[name]
    return {
        "code": {"coding": [{"system": _LOINC, "code": code, "display": display}]},
        "valueQuantity": {"value": value, "unit": unit, "system": _UCUM, "code": unit},
    }
