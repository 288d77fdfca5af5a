/* Work in threads. Results never depend on how many there are: each thread has its own objects. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_kernel.h"

static const unsigned long NO_THREAD = (unsigned long)-1; /* PYTHREAD_INVALID_THREAD_ID */

int shares_of(const Groups *groups, int threads, Share shares[MOST_THREADS])
{
    const int most = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    const size_t n_runs = groups->first[groups->n_labels + 1];
    int n = 0;
    for (int32_t label = 1; label <= groups->n_labels; n++) {
        const size_t enough = n_runs * (size_t)(n + 1) / (size_t)most;
        shares[n].first = label++;
        while (label <= groups->n_labels && groups->first[label + 1] <= enough)
            label++;
        if (n + 1 == most)
            label = groups->n_labels + 1;
        shares[n].stop = label;
    }
    return n;
}

typedef struct {
    void (*work)(void *shared, int part);
    void *shared;
    int part;
    int started;
    PyThread_type_lock finished;
} Job;

static void run_job(void *argument)
{
    Job *job = argument;
    job->work(job->shared, job->part);
    PyThread_release_lock(job->finished);
}

static void start_job(Job *job)
{
    job->finished = PyThread_allocate_lock();
    if (!job->finished)
        return;
    PyThread_acquire_lock(job->finished, WAIT_LOCK);
    job->started = PyThread_start_new_thread(run_job, job) != NO_THREAD;
}

static void finish_job(Job *job)
{
    if (job->started)
        PyThread_acquire_lock(job->finished, WAIT_LOCK);
    else
        job->work(job->shared, job->part);
    if (job->finished) {
        PyThread_release_lock(job->finished);
        PyThread_free_lock(job->finished);
    }
}

void in_threads(void (*work)(void *shared, int part), void *shared, int parts)
{
    Job jobs[MOST_THREADS];
    for (int part = 1; part < parts; part++) {
        jobs[part] = (Job){work, shared, part, 0, NULL};
        start_job(jobs + part);
    }
    if (parts > 0)
        work(shared, 0);
    for (int part = 1; part < parts; part++)
        finish_job(jobs + part);
}
