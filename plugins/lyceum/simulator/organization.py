"""The life of one simulated organization, day after day: who joins, studies, hands in, leaves, finishes and grades."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import fsum

from lyceum.simulator import people, vocabulary
from lyceum.simulator.catalogue import Course, Item, activity, courses
from lyceum.simulator.chance import between, generator, identifier, pick, weighted, whole
from lyceum.simulator.people import WEEKDAYS, Learner, Trainer
from lyceum.simulator.plan import OrganizationPlan
from lyceum.simulator.session import Session, Statement

_LEARNERS_PER_TRAINER = 60
_MAXIMUM_ATTEMPTS = 3
_PASS_MARK = 0.6


@dataclass(slots=True)
class _Enrollment:
    """How far one learner is in one course."""

    course: Course
    registration: str
    position: int = 0
    attempts: int = 0
    scores: list[float] = field(default_factory=list)
    is_ghost: bool = False


@dataclass(slots=True)
class _Student:
    """A learner and their courses: those under way, those still to begin (by day number), those ever begun."""

    learner: Learner
    enrollments: list[_Enrollment] = field(default_factory=list)
    joining: dict[int, Course] = field(default_factory=dict)
    begun: list[Course] = field(default_factory=list)


_Task = Callable[[int], list[Statement]]


class OrganizationLife:
    """Makes the statements of an organization for one local day after the other."""

    def __init__(self, plan: OrganizationPlan, seed: int, first_day: date) -> None:
        self._plan = plan
        self._zone = plan.zone
        self._first_day = first_day
        self._rng = generator(seed, plan.slug, "life")
        count = max(2, plan.learners // _LEARNERS_PER_TRAINER)
        self._trainers = [people.trainer(plan.slug, number, self._rng) for number in range(1, count + 1)]
        self._courses = courses(plan.slug, plan.courses, self._trainers, self._rng)
        library = f"https://learn.{plan.slug}.example/library"
        self._library_json = activity(library, vocabulary.PAGE_TYPE, "Library")
        self._students = [self._student(number) for number in range(1, plan.learners + 1)]
        self._teaching: defaultdict[int, list[_Task]] = defaultdict(list)

    @property
    def custodian(self) -> str:
        """The rendered actor who voids statements."""
        return self._trainers[0].json

    def starts_ms(self, day_number: int) -> int:
        """Return the instant at which a local day begins (day 0 is the first), in milliseconds of the epoch."""
        return self._instant_ms(day_number, 0, 0)

    def statements(self, day_number: int) -> list[Statement]:
        """Return what the people do in sittings that begin on that day; a late one runs past midnight. Call in order."""
        day = self._first_day + timedelta(days=day_number)
        weekday = WEEKDAYS[day.weekday()]
        statements: list[Statement] = []
        for student in self._students:
            if day_number in student.joining:
                statements += self._join(student, day_number)
            elif student.enrollments and self._rng.random() < student.learner.diligence * weekday:
                statements += self._study(student, day_number)
        for task in self._teaching.pop(day_number, ()):
            statements += task(day_number)
        if day.weekday() < 5:
            statements += self._teach(day_number)
        return statements

    def _instant_ms(self, day_number: int, hour: int, minute: int) -> int:
        local = datetime.combine(self._first_day + timedelta(days=day_number), time(hour, minute), tzinfo=self._zone)
        return int(local.timestamp()) * 1000

    def _offset_minutes(self, instant_ms: int) -> int:
        offset = datetime.fromtimestamp(instant_ms / 1000, self._zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds()) // 60

    def _student(self, number: int) -> _Student:
        """Make a learner with one to three courses: most already under way, some beginning this week, the rest later."""
        rng = self._rng
        student = _Student(people.learner(self._plan.slug, number, rng))
        for place in dict.fromkeys(whole(rng, 0, len(self._courses) - 1) for _ in range(whole(rng, 1, 3))):
            chosen = self._courses[place]
            draw = rng.random()
            if draw < 0.6:
                student.begun.append(chosen)
                student.enrollments.append(
                    _Enrollment(chosen, identifier(rng), position=int(len(chosen.items) * 0.7 * rng.random()))
                )
            else:
                begins = whole(rng, 0, 6) if draw < 0.85 else 7 + int(60 * rng.random() ** 2)
                student.joining.setdefault(begins, chosen)
        return student

    def _join(self, student: _Student, day_number: int) -> list[Statement]:
        course = student.joining.pop(day_number)
        enrollment = _Enrollment(course, identifier(self._rng), is_ghost=self._rng.random() < 0.04)
        student.enrollments.append(enrollment)
        student.begun.append(course)
        session = self._session(student.learner, enrollment, self._sitting_ms(student.learner, day_number))
        session.register()
        session.wait(10, 300)
        if not enrollment.is_ghost and self._rng.random() < 0.7:
            self._sit(student, enrollment, session, day_number)
        return session.statements

    def _sitting_ms(self, learner: Learner, day_number: int) -> int:
        hour = weighted(self._rng, learner.rhythm)
        within_the_minute = int(60_000 * self._rng.random())
        return self._instant_ms(day_number, hour, whole(self._rng, 0, 59)) + within_the_minute

    def _session(self, learner: Learner, enrollment: _Enrollment, clock_ms: int) -> Session:
        return Session(
            self._rng,
            actor=learner.json,
            course=enrollment.course,
            registration=enrollment.registration,
            clock_ms=clock_ms,
            speed=learner.speed,
            skill=learner.skill,
            offset_minutes=self._offset_minutes(clock_ms) if learner.is_mobile else None,
        )

    def _study(self, student: _Student, day_number: int) -> list[Statement]:
        """One to three sittings, one after the other."""
        draw = self._rng.random()
        count = 1 + (draw < 0.35) + (draw < 0.08)
        statements: list[Statement] = []
        free_from_ms = 0
        for start_ms in sorted(self._sitting_ms(student.learner, day_number) for _ in range(count)):
            present = [enrollment for enrollment in student.enrollments if not enrollment.is_ghost]
            if not present:
                break
            enrollment = pick(self._rng, present)
            session = self._session(student.learner, enrollment, max(start_ms, free_from_ms))
            self._sit(student, enrollment, session, day_number)
            statements += session.statements
            free_from_ms = session.clock_ms + 60_000
        return statements

    def _sit(self, student: _Student, enrollment: _Enrollment, session: Session, day_number: int) -> None:
        """Work through the next items until the time is up, the course is done, or the learner gives it up."""
        rng = self._rng
        course = enrollment.course
        until_ms = session.clock_ms + int(60_000 * (6 + 80 * rng.random() ** 2))
        if rng.random() < 0.8:
            session.open_course()
        if rng.random() < 0.04:
            session.say_outside(vocabulary.VIEWED, self._library_json)
            session.wait(20, 400)
        if enrollment.position and rng.random() < 0.1:
            reviewed = course.items[whole(rng, 0, enrollment.position - 1)]
            if reviewed.kind in ("page", "video"):
                session.do(reviewed)
        while session.clock_ms < until_ms and enrollment.position < len(course.items):
            self._do_next(enrollment, student.learner, session, day_number)
        if enrollment.position == len(course.items):
            scores = enrollment.scores
            session.complete_course(fsum(scores) / len(scores) if scores else 1.0)
            self._leave(student, enrollment, day_number, returns=0.0)
        elif rng.random() < student.learner.hazard:
            if rng.random() < 0.4:
                session.unregister()
            self._leave(student, enrollment, day_number, returns=0.4)

    def _do_next(self, enrollment: _Enrollment, learner: Learner, session: Session, day_number: int) -> None:
        item = enrollment.course.items[enrollment.position]
        score = session.do(item)
        if item.kind == "assignment":
            self._ask_for_grading(enrollment, item, learner, day_number)
        elif item.kind == "forum" and self._rng.random() < 0.3:
            self._ask_for_answer(enrollment, item, day_number)
        if score is not None:
            enrollment.attempts += 1
            if score < _PASS_MARK and enrollment.attempts < _MAXIMUM_ATTEMPTS:
                return
            enrollment.scores.append(score)
            enrollment.attempts = 0
        enrollment.position += 1

    def _leave(self, student: _Student, enrollment: _Enrollment, day_number: int, *, returns: float) -> None:
        """End an enrollment; the learner may take the same course up again weeks later, or a new one."""
        student.enrollments.remove(enrollment)
        begins = day_number + whole(self._rng, 3, 40)
        unknown = [course for course in self._courses if course not in student.begun]
        draw = self._rng.random()
        if draw < returns:
            student.joining.setdefault(begins, enrollment.course)
        elif draw < 0.85 and unknown:
            student.joining.setdefault(begins, pick(self._rng, unknown))

    def _working_day(self, day_number: int) -> int:
        """Return the day, or the Monday after it."""
        weekday = (self._first_day + timedelta(days=day_number)).weekday()
        return day_number + max(0, 7 - weekday) * (weekday >= 5)

    def _ask_for_grading(self, enrollment: _Enrollment, item: Item, learner: Learner, day_number: int) -> None:
        trainer = pick(self._rng, enrollment.course.trainers)

        def grade(today: int) -> list[Statement]:
            session = self._trainer_session(trainer, enrollment.course, enrollment.registration, today)
            scaled = round(min(1.0, max(0.0, learner.skill + between(self._rng, -0.25, 0.25))), 2)
            result = (
                f'"score":{{"scaled":{scaled},"raw":{round(scaled * 100)},"min":0,"max":100}},'
                f'"success":{"true" if scaled >= 0.5 else "false"}'
            )
            activities = f'{{"parent":[{enrollment.course.json}],"other":[{item.json}]}}'
            session.say_of_person(vocabulary.EVALUATED, learner.json, activities, result)
            return session.statements

        self._teaching[self._working_day(day_number + whole(self._rng, 1, 4))].append(grade)

    def _ask_for_answer(self, enrollment: _Enrollment, item: Item, day_number: int) -> None:
        trainer = pick(self._rng, enrollment.course.trainers)

        def answer(today: int) -> list[Statement]:
            session = self._trainer_session(trainer, enrollment.course, enrollment.registration, today)
            session.say(vocabulary.VIEWED, item.json, item.context)
            session.wait(60, 600)
            session.post(item)
            return session.statements

        self._teaching[self._working_day(day_number + 1)].append(answer)

    def _teach(self, day_number: int) -> list[Statement]:
        """Trainers look into their courses on working days."""
        statements: list[Statement] = []
        for course in self._courses:
            for trainer in course.trainers:
                if self._rng.random() < 0.5:
                    session = self._trainer_session(trainer, course, identifier(self._rng), day_number)
                    session.open_course()
                    forum = next(item for item in course.items if item.kind == "forum")
                    session.say(vocabulary.VIEWED, forum.json, forum.context)
                    statements += session.statements
        return statements

    def _trainer_session(self, trainer: Trainer, course: Course, registration: str, day_number: int) -> Session:
        clock_ms = self._instant_ms(day_number, whole(self._rng, 8, 17), whole(self._rng, 0, 59))
        clock_ms += int(60_000 * self._rng.random())
        return Session(self._rng, actor=trainer.json, course=course, registration=registration, clock_ms=clock_ms)
