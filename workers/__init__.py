"""GPU workers: claim a job, run its pipeline, store the video, finish the job."""
