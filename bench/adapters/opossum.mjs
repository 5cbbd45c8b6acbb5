import Opossum from 'opossum';

/** Without percentiles and snapshots it is fastest. */
const fast = { rollingPercentilesEnabled: false, enableSnapshots: false };

const breaker =
  (options) =>
  (operation, { timeoutMs, isTolerant = false }) => {
    const threshold = isTolerant ? { errorThresholdPercentage: 100 } : {};
    const circuit = new Opossum(operation, { ...options, ...threshold, timeout: timeoutMs ?? false });
    return { call: () => circuit.fire(), open: () => circuit.open(), close: () => circuit.shutdown() };
  };

export default {
  packages: ['opossum'],
  breaker: { 'raw opossum': breaker(fast), 'opossum, as it comes': breaker({}) },
};
