"""The pure core of assessments: what may be invited, what an answer proves, what a report says."""
