"""What a candidate brings along besides name and addresses, so that bodies are as large and as private as real ones.

All of it is invented. Source of the shapes: sample payload `candidate_stage_change.json`.
"""

from __future__ import annotations

from trellis.sandbox.bodies import Json


def made_up_profile(number: int) -> Json:
    """Address, links, education and employment of candidate *number*."""
    return {
        "addresses": [{"value": f"Storgatan {number % 1000}\n211 42 Malmö", "type": "home"}],
        "website_addresses": [{"value": f"https://person-{number}.example", "type": "personal"}],
        "social_media_addresses": [{"value": f"https://social.example/person-{number}"}],
        "educations": [
            {
                "school_name": "Öresund Technical University",
                "degree": "Master's Degree",
                "discipline": "Computer Science",
                "start_date": "09/01/2015",
                "end_date": "06/15/2020",
            }
        ],
        "employments": [
            {
                "company_name": "Fjordware AB",
                "title": "Software Engineer",
                "start_date": "08/01/2020",
                "end_date": None,
            }
        ],
    }


def made_up_attachments(number: int) -> list[Json]:
    """A résumé and a cover letter behind signed links."""
    return [
        {
            "filename": f"{name}.pdf",
            "url": f"https://files.example/signed/{kind}-{number}?expires=1764500000",
            "type": kind,
        }
        for name, kind in (("CV", "resume"), ("Letter", "cover_letter"))
    ]


def candidate_fields() -> Json:
    """Custom fields of a candidate, one of most types; empty dates are empty text."""
    return {
        "screening_summary": _field("Screening Summary", "long_text", "Two years of streams.\nPrefers remote work."),
        "needs_relocation": _field("Needs Relocation", "boolean", False),
        "seniority_band": _field("Seniority Band", "single_select", "Band C"),
        "languages": _field("Languages", "multi_select", ["Rust", "Python"]),
        "earliest_start": _field("Earliest Start", "date", ""),
        "notice_weeks": _field("Notice Weeks", "number", 6),
        "visa_note": _field("Visa Note", "short_text", None),
    }


def application_fields() -> Json:
    """Custom fields of an application."""
    pay = {"compensation_type": "base", "frequency": "annually", "rationale": "in line with band C"}
    return {
        "target_base": {**_field("Target Base", "currency", {"amount": 78000, "unit": "EUR"}), **pay},
        "assessment_score": _field("Assessment Score", "number", None),
    }


def _field(name: str, kind: str, value: object) -> Json:
    return {"name": name, "type": kind, "value": value}
