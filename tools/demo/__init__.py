"""The demo: a story a recruiter would recognise, played on a running system against the sandbox."""
