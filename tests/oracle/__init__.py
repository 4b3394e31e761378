"""An independent program that computes every published number from the full event history.

It is written from `docs/metrics.md` and `docs/architecture.md` alone, with the standard library alone, and shares nothing
with the product, not even a constant. It prefers the plainest way to compute a number over a fast one.

`calendars`  days, weeks and their ends in an organization's own time zones
`statements` one xAPI statement, or one day-precise record → a `Record`
`rosters`    who is who, and who learns and teaches what on which days, by the deliveries of rosters
`enrollment` days on which one learner is enrolled in one course, and at risk
`figures`    records → every row of stages two and three
`views`      those rows → every row of the two materialized views
`warehouse`  which records collection accepts, refuses and voids, and what a build has published
"""
