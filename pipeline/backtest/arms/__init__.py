"""Arms: trainings on a changed corpus that show what a rule or a mitigation is worth."""
