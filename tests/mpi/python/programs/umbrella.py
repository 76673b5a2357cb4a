"""python -m mpi4py.futures umbrella.py: the calls that PySAGES' UmbrellaIntegration makes of its executor.

One replica per centre along a path is submitted, with a callback object that comes back with the result; then forces are
integrated to a free energy. The replicas here are overdamped particles in a double well, held by a spring.
"""
import sys
from copy import deepcopy

import numpy
from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor


class Histogram:
    """Logs the collective variable; made by the caller, filled by a replica, sent back."""

    def __init__(self, period, offset):
        self.period, self.offset, self.data, self.rank = period, offset, [], None

    def __call__(self, step, value):
        if step >= self.offset and step % self.period == 0:
            self.data.append(value)


def generate_context(replica_num=0, **args):
    return numpy.random.default_rng(replica_num)


def run_replica(method, context_generator, timesteps, context_args, callback, post_run_action=None):
    center, spring = method
    generator = context_generator(**context_args)
    x = center
    for step in range(timesteps):
        force = 4 * x - 4 * x**3 - spring * (x - center)
        x += 0.002 * force + numpy.sqrt(2 * 0.002) * generator.normal()
        callback(step, x)
    callback.rank = MPI.COMM_WORLD.Get_rank()
    return callback


def run(method, context_generator, timesteps, executor, context_args={}, executor_shutdown=True):
    futures = []
    for n, center in enumerate(method["centers"]):
        args = deepcopy(context_args)
        args["replica_num"] = n
        callback = Histogram(10, timesteps // 4)
        futures.append(executor.submit(run_replica, (center, method["ksprings"]), context_generator, timesteps, args, callback))
    callbacks = [future.result() for future in futures]
    if executor_shutdown:
        executor.shutdown()
    return callbacks


if __name__ == "__main__":
    method = {"centers": numpy.linspace(-1.2, 1.2, 9), "ksprings": 50.0}
    callbacks = run(method, generate_context, 4000, MPIPoolExecutor())
    means = numpy.array([numpy.mean(callback.data) for callback in callbacks])
    forces = 50.0 * (means - method["centers"])
    energy = -numpy.concatenate([[0], numpy.cumsum((forces[1:] + forces[:-1]) / 2 * numpy.diff(means))])
    assert all(len(callback.data) == 300 for callback in callbacks)
    assert {callback.rank for callback in callbacks} <= set(range(1, int(sys.argv[1])))
    assert energy[4] > energy[1] + 0.3 and energy[4] > energy[7] + 0.3, energy  # a barrier between two wells
    print("ok")
