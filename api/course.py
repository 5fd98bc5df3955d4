"""What becomes of one queue when its next hours are played through: see ``rehearsal``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heapreplace
from itertools import accumulate
from math import inf, isinf

from api.eta import run_seconds
from jobs.line import Line, Place
from jobs.outlook import FIRST, Outlook, Size, WaitingJob
from jobs.state import ANY_KIND

_ONE_BY_ONE = 256  # further ones are reckoned as a stream


class Course:
    """The jobs of a queue, and when they start; times are seconds from the outlook on.

    Only the front of a long queue is known job by job. Where one behind it might have its turn the course is
    cut: what follows is worked out from the samples, and from how many jobs ran side by side until then.

    Args:
        outlook: the queue.
        workers: how many serve it.
    """

    def __init__(self, outlook: Outlook, workers: int) -> None:
        self.workers = workers
        self.starts: dict[str, float] = {}
        self.is_cut = False
        self._outlook = outlook
        self._spans: list[tuple[float, float]] = []  # of the runs that begin here, in order
        self._ends: list[float] = []  # of the runs that had begun
        self._vacancies: list[float] = []  # when each worker first finds nothing to do, in order
        self._line = Line()
        self._known: dict[str, WaitingJob] = {}
        self._left: Counter[str] = Counter()
        for job in outlook.line:
            self.join(job)
        self._unknown = {tenant: count - self._left[tenant] for tenant, count in outlook.waiting.items()}
        self._hidden = outlook.length - sum(outlook.waiting.values())  # of tenants that are not known
        front = [self.seconds(job.size) for job in outlook.line[:FIRST]]
        self._samples = [self.seconds(size) for size in outlook.samples]
        self._front = [0.0, *accumulate(front)]
        average = outlook.paces.get(ANY_KIND)
        usual = self._samples or front or ([average.rest] if average else [inf])
        self.mean = sum(usual) / len(usual)

    @property
    def waiting(self) -> int:
        """Known jobs that have not started, unless the course was cut."""
        return 0 if self.is_cut else self._left.total()

    def seconds(self, size: Size) -> float:
        """How long a job runs; for ever where that is unknown."""
        known = run_seconds(size, self._outlook.paces)
        return inf if known is None else known

    def join(self, job: WaitingJob) -> None:
        """Have a job stand in line."""
        self._known[job.place.job_id] = job
        self._left[job.place.tenant] += 1
        self._line.join(job.place)

    def run_until(self, end: float) -> None:
        """Note the end of a run that had begun."""
        self._ends.append(end)

    def first(self, may_run: Callable[[str], bool]) -> WaitingJob | None:
        """The job that a claim takes now, or None. Cuts the course where nobody can tell."""
        place = None if self.is_cut else self._line.first(may_run)
        self.is_cut = self.is_cut or self._is_in_doubt(place, may_run)
        return self._known[place.job_id] if place and not self.is_cut else None

    def start(self, job: WaitingJob, now: float) -> float:
        """Start a job, and tell when it ends."""
        end = now + self.seconds(job.size)
        self._line.leave(job.place)
        self._left[job.place.tenant] -= 1
        self._spans.append((now, end))
        self.starts[job.place.job_id] = now
        return end

    def close(self) -> None:
        """All known jobs have had their turn: cut the course if there are others."""
        self.is_cut = self.is_cut or self._hidden > 0 or any(self._unknown.values())

    def look_in_vain(self, now: float) -> None:
        """Note that a worker found nothing to do here, for the first time."""
        self._vacancies.append(now)

    def newer(self, ahead: int) -> int:
        """How many of the jobs ahead of one must have come since."""
        return max(0, ahead - self._outlook.length)

    def turn(self, ahead: int) -> float:
        """When a job starts that is not among the known, behind so many others."""
        return min(self._claim(ahead), self._vacancy(self.newer(ahead)))

    def _claim(self, number: int) -> float:
        if number < len(self._spans):
            return self._spans[number][0]
        if not self.is_cut:
            return inf
        now, work = self._spans[-1][0] if self._spans else 0.0, self._work(number)
        if isinf(work):
            return inf
        return now + (work - self._work(len(self._spans))) / self._side_by_side(now)

    def _vacancy(self, number: int) -> float:
        """When a worker comes free for one more job behind so many others, which take as long as most do."""
        if not self._vacancies:
            return inf
        if number > _ONE_BY_ONE + 4 * len(self._vacancies):
            return (sum(self._vacancies) + number * self.mean) / len(self._vacancies)
        free = sorted(self._vacancies)
        for _ in range(number):
            heapreplace(free, free[0] + self.mean)
        return free[0]

    def _work(self, jobs: int) -> float:
        """Seconds that the first so many jobs take, one after the other."""
        behind, samples = jobs - len(self._front) + 1, self._samples
        if behind <= 0:
            return self._front[jobs]
        each = (self._outlook.length - FIRST) / len(samples) if samples else 1.0
        whole = min(int(behind / each), len(samples))
        part = samples[whole] if whole < len(samples) else self.mean
        return self._front[-1] + sum(samples[:whole]) * each + (behind - whole * each) * part

    def _side_by_side(self, now: float) -> float:
        """How many runs there were at once until now, on average."""
        if not now:
            return float(max(1, self.workers))
        ran = sum(min(end, now) - begin for begin, end in self._spans) + sum(
            min(end, now) for end in self._ends
        )
        return max(ran / now, 1e-9)

    def _is_in_doubt(self, place: Place | None, may_run: Callable[[str], bool]) -> bool:
        """Whether a job that is not known might be next instead."""
        line = self._outlook.line
        front = line[min(FIRST, len(line)) - 1].place if line else None
        if len(line) == self._outlook.length or (place and front and place <= front):
            return False
        return self._hidden > 0 or any(
            count > 0 and not self._left[tenant] and may_run(tenant)
            for tenant, count in self._unknown.items()
        )
