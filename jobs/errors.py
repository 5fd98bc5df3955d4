"""What the job engine can refuse, as a small tree. Only the gateway turns these into HTTP statuses."""


class JobsError(Exception):
    """Base of every error this room raises."""


class JobNotFoundError(JobsError):
    """No record has this id: it never existed, or its retention ran out."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {job_id}.")
        self.job_id = job_id


class InvalidTransitionError(JobsError):
    """The verb does not apply to the state the job is in."""

    def __init__(self, job_id: str, verb: str, state: str) -> None:
        super().__init__(f"Job {job_id} is {state}; `{verb}` does not apply to it.")
        self.job_id = job_id
        self.verb = verb
        self.state = state


class LeaseLostError(JobsError):
    """The attempt no longer holds the job: its lease ran out, or the job is final. Stop working on it."""

    def __init__(self, job_id: str, attempt: int) -> None:
        super().__init__(f"Attempt {attempt} no longer holds the lease of job {job_id}.")
        self.job_id = job_id
        self.attempt = attempt


class TooManyJobsError(JobsError):
    """The tenant has as many jobs queued as it may."""

    def __init__(self, tenant: str) -> None:
        super().__init__("You have as many jobs queued as you may. Wait until some of them have started.")
        self.tenant = tenant


class QueueFullError(JobsError):
    """The queue holds as many jobs as it may."""

    def __init__(self) -> None:
        super().__init__("The queue is full. Try again when some of its jobs are done.")


class WaitTooLongError(JobsError):
    """So many jobs are in front that the new one would expire before its turn."""

    def __init__(self) -> None:
        super().__init__(
            "The job would expire in the queue. Give it longer (expires_in), or try again later."
        )


class GpuTimeSpentError(JobsError):
    """The tenant used up the GPU time of the day. ``retry_seconds`` is what is left of that."""

    def __init__(self, retry_seconds: int) -> None:
        super().__init__("The GPU time of today is used up. There is more tomorrow, in UTC.")
        self.retry_seconds = retry_seconds


class KeyReservedError(JobsError):
    """Another request with the same idempotency key is still being answered."""

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key is still being answered. Try again soon."
        )


class KeyUsedError(JobsError):
    """The idempotency key belongs to another request."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request. Use a fresh one for each.")


class StoreUnavailableError(JobsError):
    """The job store cannot be reached. A verb was carried out whole or not at all; try again shortly."""


class ArtifactNotFoundError(JobsError):
    """No artifact has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no artifact {key}.")
        self.key = key


class ArtifactStoreUnavailableError(JobsError):
    """The artifact store cannot be reached, or refused the request. Try again shortly."""


class DiskFullError(JobsError):
    """The disk of this machine has no room for what is to be stored. Nothing was kept of it."""

    def __init__(self) -> None:
        super().__init__(
            "There is no room for files just now. Try again later; nothing was kept of this one."
        )


class WebhookNotFoundError(JobsError):
    """The tenant has no webhook endpoint, or no delivery, of this id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no webhook or delivery {name}.")


class WebhookDisabledError(JobsError):
    """The webhook endpoint is disabled, so that nothing is delivered to it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The webhook of {name} is disabled. Enable it first.")


class TooManyWebhooksError(JobsError):
    """The tenant has as many webhook endpoints as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most} webhooks already; delete one first.")
