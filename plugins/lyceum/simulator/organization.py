"""The life of one simulated organization, day after day: who joins, studies, hands in, leaves, finishes and grades."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import fsum
from typing import Literal

from lyceum.simulator import people, vocabulary
from lyceum.simulator.catalogue import Course, Item, activity, courses
from lyceum.simulator.chance import between, generator, identifier, pick, weighted, whole
from lyceum.simulator.people import WEEKDAYS, Learner, Person, Trainer
from lyceum.simulator.plan import LEARNERS_PER_PART, OrganizationPlan
from lyceum.simulator.session import Session, Statement

_STAFF_CHANGES = 0.04
_MAXIMUM_ATTEMPTS = 3
_PASS_MARK = 0.6
_KNOWN_AHEAD = 2
_TERM_DAYS_BEFORE = 28


@dataclass(slots=True)
class _Enrollment:
    """How far one learner is in one course, and at which item, if any, they will give it up."""

    course: Course
    registration: str
    record: str
    gives_up_at: int | None = None
    position: int = 0
    attempts: int = 0
    scores: list[float] = field(default_factory=list)
    is_ghost: bool = False


@dataclass(slots=True)
class _Student:
    """A learner and their courses: those under way, those still to begin (by day number), those ever begun."""

    learner: Learner
    number: int
    enrollments: list[_Enrollment] = field(default_factory=list)
    joining: dict[int, Course] = field(default_factory=dict)
    begun: list[Course] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EnrollmentBegins:
    """A person takes part in a course from a day on (days are numbered, the first of the simulation is 0)."""

    record: str
    course: str
    person: Person
    role: Literal["student", "teacher"]
    day_number: int


@dataclass(frozen=True, slots=True)
class EnrollmentEnds:
    """A person takes part no more, from a day on. `is_removed`: the record goes, instead of getting an end."""

    record: str
    day_number: int
    is_removed: bool


@dataclass(frozen=True, slots=True)
class PersonLeaves:
    """A person leaves the organization, and all their enrollments go with them."""

    person: Person


RegistrarNews = EnrollmentBegins | EnrollmentEnds | PersonLeaves
_Task = Callable[[int], list[Statement]]


def staff_and_courses(plan: OrganizationPlan, seed: int) -> tuple[list[Trainer], tuple[Course, ...]]:
    """Return an organization's trainers and its courses, as they are before the first day."""
    rng = generator(seed, plan.slug, "staff and courses")
    trainers = [people.trainer(plan.slug, number, rng) for number in range(1, plan.trainer_count + 1)]
    return trainers, courses(plan.slug, plan.courses, trainers, rng)


class OrganizationLife:
    """Makes the statements of one part of an organization for one local day after the other.

    All parts have the same trainers and courses. What trainers do by themselves, and the news of them, is the first part's.
    """

    def __init__(self, plan: OrganizationPlan, seed: int, first_day: date, part: int = 0) -> None:
        self._plan = plan
        self._seed = seed
        self._zone = plan.zone
        self._first_day = first_day
        self._part = part
        self._trainers, self._courses = staff_and_courses(plan, seed)
        self._rng = generator(seed, plan.slug, "life", part)
        self._news: list[RegistrarNews] = []
        self._staff_records: dict[tuple[str, str], str] = {}
        for course in self._courses:
            for trainer in course.trainers:
                self._teacher_begins(course, trainer, -_TERM_DAYS_BEFORE)
        library = f"https://learn.{plan.slug}.example/library"
        self._library_json = activity(library, vocabulary.PAGE_TYPE, "Library")
        first = part * LEARNERS_PER_PART + 1
        last = min(plan.learners, (part + 1) * LEARNERS_PER_PART)
        self._students = [self._student(number) for number in range(first, last + 1)]
        self._teaching: defaultdict[int, list[_Task]] = defaultdict(list)

    @property
    def custodian(self) -> str:
        """The rendered actor who voids statements."""
        return self._trainers[0].json

    def news(self, day_number: int) -> list[RegistrarNews]:
        """Return what the registrar knows in the morning of a day and did not know before. Call before `statements`.

        Beginnings are known two days ahead; what happened on a day is known the next morning.
        """
        ahead = range(_KNOWN_AHEAD + 1) if day_number == 0 else (day_number + _KNOWN_AHEAD,)
        for begins in ahead:
            for student in self._students:
                if begins in student.joining:
                    course = student.joining[begins]
                    self._learner_begins(student, course, begins, self._record(student, course, is_coming=True))
        news, self._news = self._news, []
        return news

    def starts_ms(self, day_number: int) -> int:
        """Return the instant at which a local day begins (day 0 is the first), in milliseconds of the epoch."""
        return self._instant_ms(day_number, 0, 0)

    def statements(self, day_number: int) -> list[Statement]:
        """Return what the people do in sittings that begin on that day; a late one runs past midnight. Call in order."""
        day = self._first_day + timedelta(days=day_number)
        weekday = WEEKDAYS[day.weekday()]
        statements: list[Statement] = []
        if day_number:
            self._change_staff(day_number)
        for student in self._students:
            if day_number in student.joining:
                statements += self._join(student, day_number)
            elif student.enrollments and self._rng.random() < student.learner.diligence * weekday:
                statements += self._study(student, day_number)
        for task in self._teaching.pop(day_number, ()):
            statements += task(day_number)
        if day.weekday() < 5 and self._part == 0:
            statements += self._teach(day_number)
        return statements

    def _change_staff(self, day_number: int) -> None:
        """On a Monday a few courses get another trainer in place of one they had."""
        if (self._first_day + timedelta(days=day_number)).weekday():
            return
        for course in self._courses:
            # Decided apart from all else, so that every part of the organization comes to the same.
            rng = generator(self._seed, self._plan.slug, "staff", course.key, day_number)
            others = [trainer for trainer in self._trainers if trainer not in course.trainers]
            if others and rng.random() < _STAFF_CHANGES:
                place = whole(rng, 0, len(course.trainers) - 1)
                record = self._staff_records.pop((course.key, course.trainers[place].person.sourced_id))
                course.trainers[place] = pick(rng, others)
                if self._part == 0:
                    self._news.append(EnrollmentEnds(record, day_number, is_removed=rng.random() < 0.3))
                self._teacher_begins(course, course.trainers[place], day_number)

    def _teacher_begins(self, course: Course, trainer: Trainer, day_number: int) -> None:
        record = f"{course.key}-{trainer.person.username}-{day_number + _TERM_DAYS_BEFORE}"
        self._staff_records[course.key, trainer.person.sourced_id] = record
        if self._part == 0:
            self._news.append(EnrollmentBegins(record, course.key, trainer.person, "teacher", day_number))

    def _learner_begins(self, student: _Student, course: Course, day_number: int, record: str) -> None:
        self._news.append(EnrollmentBegins(record, course.key, student.learner.person, "student", day_number))

    def _record(self, student: _Student, course: Course, *, is_coming: bool = False) -> str:
        """Return the registrar's record of a learner's present enrollment in a course, or of the one that comes."""
        turn = student.begun.count(course) + is_coming
        return f"{course.key}-{student.learner.person.username}-{turn}"

    def _enrollment(self, student: _Student, course: Course) -> _Enrollment:
        """Begin a course; it must be among `begun` already."""
        rng = self._rng
        gives_up = rng.random() < self._plan.drop_out
        place = int(len(course.items) * rng.random())
        return _Enrollment(
            course, identifier(rng), self._record(student, course), gives_up_at=place if gives_up else None
        )

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
        student = _Student(people.learner(self._plan.slug, number, rng), number)
        cohorts = self._plan.cohorts
        for place in dict.fromkeys(whole(rng, 0, len(self._courses) - 1) for _ in range(whole(rng, 1, 3))):
            chosen = self._courses[place]
            draw = rng.random()
            if cohorts:
                group = number % cohorts
                student.joining.setdefault(group * self._plan.cohort_weeks * 7 + whole(rng, 0, 6), chosen)
            elif draw < 0.6:
                student.begun.append(chosen)
                enrollment = self._enrollment(student, chosen)
                enrollment.position = int(len(chosen.items) * 0.7 * rng.random())
                if enrollment.gives_up_at is not None:
                    enrollment.gives_up_at = max(enrollment.gives_up_at, enrollment.position + 1)
                student.enrollments.append(enrollment)
                began = -whole(rng, 1, _TERM_DAYS_BEFORE)
                self._learner_begins(student, chosen, began, enrollment.record)
            else:
                begins = whole(rng, 0, 6) if draw < 0.85 else 7 + int(60 * rng.random() ** 2)
                student.joining.setdefault(begins, chosen)
        return student

    def _join(self, student: _Student, day_number: int) -> list[Statement]:
        course = student.joining.pop(day_number)
        student.begun.append(course)
        enrollment = self._enrollment(student, course)
        enrollment.is_ghost = self._rng.random() < 0.04
        student.enrollments.append(enrollment)
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
        elif enrollment.gives_up_at is not None and enrollment.position >= enrollment.gives_up_at:
            # Half of those who give up say so; of the others the registrar never hears.
            if rng.random() < 0.5:
                session.unregister()
                self._news.append(EnrollmentEnds(enrollment.record, day_number + 1, is_removed=rng.random() < 0.5))
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
        if returns and not student.enrollments and not student.joining and self._rng.random() < 0.2:
            self._news.append(PersonLeaves(student.learner.person))
            return
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

        is_told_of_learner = self._rng.random() < 0.4

        def grade(today: int) -> list[Statement]:
            session = self._trainer_session(trainer, enrollment.course, enrollment.registration, today)
            scaled = round(min(1.0, max(0.0, learner.skill + between(self._rng, -0.25, 0.25))), 2)
            result = (
                f'"score":{{"scaled":{scaled},"raw":{round(scaled * 100)},"min":0,"max":100}},'
                f'"success":{"true" if scaled >= 0.5 else "false"}'
            )
            if is_told_of_learner:
                # Some systems tell that the work of a learner was graded, others that a trainer graded a learner.
                session.say_instead_of(
                    learner.json, vocabulary.EVALUATED, item.json, item.context, result, instructor=trainer.json
                )
                return session.statements
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
