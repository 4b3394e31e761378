"""Reports for people: learners, trainers and organizations, each read with the rights of its owner, in four formats."""
