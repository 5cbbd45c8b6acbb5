import {
  circuitBreaker,
  ConsecutiveBreaker,
  handleAll,
  SamplingBreaker,
  timeout,
  TimeoutStrategy,
  wrap,
} from 'cockatiel';

const breaker =
  (policyFor) =>
  (operation, { timeoutMs, isTolerant = false }) => {
    const circuit = circuitBreaker(handleAll, { halfOpenAfter: 30_000, breaker: policyFor(isTolerant) });
    const policy = timeoutMs === undefined ? circuit : wrap(circuit, timeout(timeoutMs, TimeoutStrategy.Aggressive));
    let isolation;
    return {
      call: () => policy.execute(operation),
      open: () => (isolation = circuit.isolate()),
      close: () => isolation?.dispose(),
    };
  };

export default {
  packages: ['cockatiel'],
  breaker: {
    'cockatiel, consecutive': breaker((isTolerant) => new ConsecutiveBreaker(isTolerant ? 1e9 : 5)),
    'cockatiel, sampling': breaker(
      (isTolerant) => new SamplingBreaker({ threshold: isTolerant ? 0.99 : 0.5, duration: 10_000 }),
    ),
  },
};
