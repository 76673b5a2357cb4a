"""A sampler whose chains are spread over the ranks by schwimmbad's pool: the same as on one core, number by number."""
import sys

import numpy
import schwimmbad
from epsie.samplers import MetropolisHastingsSampler, ParallelTemperedSampler
from scipy import stats


class Model:
    """Uniform prior, normal likelihood."""

    params = ["x", "y"]

    def prior_rvs(self, size, generator):
        return {name: generator.uniform(-4, 4, size=size) for name in self.params}

    def __call__(self, **at):
        if any(abs(at[name]) > 4 for name in self.params):
            return -numpy.inf, -numpy.inf
        return float(sum(stats.norm.logpdf(at[name], 0.5, 1.0) for name in self.params)), -2 * numpy.log(8)


def sample(kind, pool, **args):
    model = Model()
    sampler = kind(model.params, model, args.pop("nchains"), seed=10, pool=pool, **args)
    shape = (sampler.nchains,) if kind is MetropolisHastingsSampler else (sampler.ntemps, sampler.nchains)
    sampler.start_position = model.prior_rvs(shape, numpy.random.default_rng(1))
    for _ in range(2):
        sampler.run(50)
    return sampler.positions


if __name__ == "__main__":
    pool = schwimmbad.choose_pool(mpi=True, processes=1)
    cases = [
        (MetropolisHastingsSampler, {"nchains": 9}),
        (ParallelTemperedSampler, {"nchains": 4, "betas": numpy.array([1.0, 0.5, 0.1])}),
    ]
    for kind, args in cases:
        there, here = sample(kind, pool, **args), sample(kind, None, **args)
        for name in Model.params:
            assert (there[name] == here[name]).all()
        print(kind.__name__, there["x"].shape)
    pool.close()
    sys.exit(0)
